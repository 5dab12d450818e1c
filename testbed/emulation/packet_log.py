"""The relay's log: what became of every packet of one direction, as compressed JSON lines.

A header that tells what the direction was asked to do, then a line for each packet as soon as its
fate is known, and for each change of what is asked, and an end with the sums. Times are
nanoseconds of testbed.clock, the one that the nodes' events use.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.bounds import Int64
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE
from testbed.links.packet import Packet

_FLUSH = 64 * 1024  # bytes gathered before they are handed to gzip
_PATIENCE = PATIENCE / 2  # for gzip to take or write anything: who asked the relay waits, too
_MOMENT = 0.1  # seconds that packets may wait meanwhile

DIRECTIONS = ("up", "down")


def packet_log_path(folder: Path, link: str, direction: str) -> Path:
    """Where the log of one direction is."""
    return folder / f"packets.{link}.{direction}.jsonl.gz"


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

    Nothing here waits for gzip before `finish`: what it does not take yet is kept in memory.
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

    def end(self, end: End) -> None:
        """Write the last line."""
        self.write(end)
        self._moved = time.monotonic()

    def finish(self) -> bool:
        """Give gzip what it has not taken, for a moment; return True once all is on the disk.

        Call it after `end`, again and again. Raises OSError when gzip fails or no longer goes on.
        """
        before = len(self._lines)
        until = time.monotonic() + _MOMENT
        while self._lines and (left := until - time.monotonic()) > 0:
            if select.select([], [self._pipe], [], left)[1]:
                self._give()
        if len(self._lines) < before:
            self._moved = time.monotonic()
        if not self._lines and self._ended(max(0.0, until - time.monotonic())):
            return True
        if time.monotonic() - self._moved > _PATIENCE:
            raise OSError(f"{self._path}: gzip has not gone on for {_PATIENCE:g} s")
        return False

    def _ended(self, seconds: float) -> bool:
        """Wait for gzip, which has all, to end; return False if it takes longer."""
        assert self._gzip.stdin is not None
        assert self._gzip.stderr is not None
        self._gzip.stdin.close()
        try:
            if self._gzip.wait(seconds) != 0:
                raise self._failure()
        except subprocess.TimeoutExpired:
            return False
        self._gzip.stderr.close()
        return True

    def _give(self) -> None:
        """Give gzip as much as it takes at once."""
        try:
            del self._lines[: os.write(self._pipe, self._lines)]
        except BlockingIOError:
            pass  # it is behind: later, then
        except BrokenPipeError:
            raise self._failure() from None

    def write(self, line: Line) -> None:
        """Write one line."""
        self._lines += self._encoder.encode(line)
        self._lines += b"\n"
        if len(self._lines) >= _FLUSH:
            self._give()

    def _failure(self) -> OSError:
        """Return the error of a gzip that takes nothing any more."""
        how = await_end(self._gzip, _PATIENCE)
        said = ""
        if self._gzip.returncode is not None:
            assert self._gzip.stderr is not None
            said = " ".join(self._gzip.stderr.read().decode(errors="replace").split())
        return OSError(f"{self._path}: {said or f'gzip failed: {how}'}")


def nanoseconds(seconds: float) -> int:
    """A time in seconds, in nanoseconds."""
    return round(seconds * 1e9)
