"""The relay's log: what became of every packet of one direction, as compressed JSON lines.

A header that tells what the direction was asked to do, then a line for each packet as soon as its
fate is known, and for each change of what is asked, and an end with the sums. Times are
nanoseconds of testbed.clock, the one that the nodes' events use.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.bounds import Int64
from testbed.links.packet import Packet
from testbed.punctual import PATIENCE

_FLUSH = 64 * 1024  # bytes gathered before they are handed to gzip
_PATIENCE = PATIENCE / 2  # for gzip: who asked the relay for the end of its logs waits, too

WAYS = ("up", "down")


def packet_log_path(folder: Path, link: str, way: str) -> Path:
    """Where the log of one direction is."""
    return folder / f"packets.{link}.{way}.jsonl.gz"


class Header(msgspec.Struct, tag="header", tag_field="event"):
    """The first line: what fixed the randomness, and what was asked."""

    seed: int
    link: str
    direction: str
    repetition: int
    t: Int64
    spec: dict[str, Any]
    version: Literal[1] = 1


class PacketLine(msgspec.Struct, tag="packet", tag_field="event", omit_defaults=True):
    """One packet: either `due` and `left`, or the reason for which it was `dropped`."""

    n: int
    """Its number in this direction since the log began, from 0; a copy has its original's."""
    arrived: Int64
    size: Int64
    """Bytes of the whole Ethernet frame."""
    due: Int64 | None = None
    """When the model lets it go."""
    left: Int64 | None = None
    """When it was handed to the receiving port."""
    dropped: str | None = None


class ChangeLine(msgspec.Struct, tag="change", tag_field="event", omit_defaults=True):
    """From `t` on the direction does something else."""

    t: Int64
    spec: dict[str, Any]
    held: bool = False
    """Whether nothing is sent, and all waits."""
    scheduled: int | None = None
    """When it should have been, if a schedule did it."""


class End(msgspec.Struct, tag="end", tag_field="event"):
    """The last line, with the sums that the link itself kept; without it the log is not whole."""

    t: int
    received: int
    forwarded: int
    dropped: dict[str, int]
    duplicated: int
    in_flight: int
    """Packets of which there is no line, because they were under way at the end."""


Line = Header | PacketLine | ChangeLine | End


class PacketLog:
    """Writes one direction's log; the compressing is done by gzip, at the lowest priority.

    Nothing here waits for gzip before `close`: what it does not take yet is kept in memory.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        with path.open("xb") as file:
            self._gzip = subprocess.Popen(
                ["nice", "-n", "19", "gzip", "-c"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.PIPE,
            )
        assert self._gzip.stdin is not None
        self._pipe = self._gzip.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self.write(header)

    def sent(self, packet: Packet, due: float, left: float) -> None:
        """A packet has left. Times in seconds."""
        number, frame, arrival = packet
        self.write(
            PacketLine(
                number, nanoseconds(arrival), len(frame), nanoseconds(due), nanoseconds(left)
            )
        )

    def dropped(self, packet: Packet, reason: str) -> None:
        """A packet was dropped."""
        number, frame, arrival = packet
        self.write(PacketLine(number, nanoseconds(arrival), len(frame), dropped=reason))

    def close(self, end: End) -> None:
        """Write the end and wait until all is on the disk; OSError if it does not get there."""
        self.write(end)
        os.set_blocking(self._pipe, True)
        assert self._gzip.stdin is not None
        try:
            self._gzip.stdin.write(self._lines)
            self._gzip.stdin.close()
        except BrokenPipeError:
            raise self._failure() from None
        if self._gzip.wait(_PATIENCE) != 0:
            raise self._failure()
        assert self._gzip.stderr is not None
        self._gzip.stderr.close()

    def write(self, line: Line) -> None:
        """Write one line."""
        self._lines += self._encoder.encode(line)
        self._lines += b"\n"
        if len(self._lines) >= _FLUSH:
            try:
                del self._lines[: os.write(self._pipe, self._lines)]
            except BlockingIOError:
                pass  # gzip is behind: with a later line, then
            except BrokenPipeError:
                raise self._failure() from None

    def _failure(self) -> OSError:
        """Return the error of a gzip that has ended."""
        code = self._gzip.wait(_PATIENCE)
        assert self._gzip.stderr is not None
        said = " ".join(self._gzip.stderr.read().decode(errors="replace").split())
        return OSError(f"{self._path}: {said or f'gzip ended with {code}'}")


def nanoseconds(seconds: float) -> int:
    """A time in seconds, in nanoseconds."""
    return round(seconds * 1e9)
