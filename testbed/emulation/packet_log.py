"""The relay's packet log: the fate of every packet of one direction, as compressed JSON lines.

A header with the spec of the direction; a line for each packet, written once it is sent or dropped;
a line for each change of the spec; and an end line with the sums. Times are nanoseconds of
testbed.clock, as in the nodes' events.
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

_FLUSH = 64 * 1024  # bytes buffered before they are written to gzip
_PATIENCE = PATIENCE / 2  # for gzip to make progress; half, as the relay's caller waits, too
_MOMENT = 0.1  # seconds that `finish` may keep packets waiting

DIRECTIONS = ("up", "down")


def packet_log_path(folder: Path, link: str, direction: str) -> Path:
    """Return the path of the log of one direction of a link."""
    return folder / f"packets.{link}.{direction}.jsonl.gz"


class Header(msgspec.Struct, tag="header", tag_field="event"):
    """The first line: the key of the randomness, and the link's spec."""

    seed: int
    link: str
    direction: str
    repetition: int
    t: Int64
    spec: dict[str, Any]
    version: Literal[1] = 1


class PacketLine(msgspec.Struct, tag="packet", tag_field="event", omit_defaults=True):
    """One packet: either `due` and `left`, or the reason why it was `dropped`."""

    n: int
    """Its number in this direction since the log began, from 0; a duplicate has its original's."""
    arrived: Int64
    size: Int64
    """Bytes of the whole Ethernet frame."""
    due: Int64 | None = None
    """The time at which the link model releases it."""
    left: Int64 | None = None
    """The time at which it was handed to the receiving port."""
    dropped: str | None = None


class ChangeLine(msgspec.Struct, tag="change", tag_field="event", omit_defaults=True):
    """A change: from `t` on the direction follows `spec`."""

    t: Int64
    spec: dict[str, Any]
    held: bool = False
    """True while packets wait and none is sent, as in a handover."""
    scheduled: int | None = None
    """The time that a schedule set for it; None if no schedule made the change."""


class End(msgspec.Struct, tag="end", tag_field="event"):
    """The last line, with the sums that the link itself kept; a log without it is incomplete."""

    t: int
    received: int
    forwarded: int
    dropped: dict[str, int]
    duplicated: int
    in_flight: int
    """Packets without a line, because they were under way at the end."""


Line = Header | PacketLine | ChangeLine | End


class PacketLog:
    """The log of one direction, compressed by a gzip process at the lowest priority.

    Only `finish` waits for gzip: lines that gzip has not taken yet are kept in memory.
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
        """Log a packet that was sent. Times in seconds of testbed.clock."""
        number, frame, arrival = packet
        self.write(
            PacketLine(
                number, nanoseconds(arrival), len(frame), nanoseconds(due), nanoseconds(left)
            )
        )

    def dropped(self, packet: Packet, reason: str) -> None:
        """Log a packet that was dropped."""
        number, frame, arrival = packet
        self.write(PacketLine(number, nanoseconds(arrival), len(frame), dropped=reason))

    def end(self, end: End) -> None:
        """Write the last line."""
        self.write(end)
        self._moved = time.monotonic()

    def finish(self) -> bool:
        """Hand gzip the remaining lines, for a moment; return True once the file is complete.

        Call it after `end` until it returns True. Raises OSError when gzip fails or stands still.
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
            raise OSError(f"{self._path}: gzip has stood still for {_PATIENCE:g} s")
        return False

    def _ended(self, seconds: float) -> bool:
        """Close gzip's input and wait for it to end; return False if it takes longer."""
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
        """Write as much to gzip as its pipe takes without waiting."""
        try:
            del self._lines[: os.write(self._pipe, self._lines)]
        except BlockingIOError:
            pass  # the pipe is full: the lines stay for a later call
        except BrokenPipeError:
            raise self._failure() from None

    def write(self, line: Line) -> None:
        """Append one line, and write to gzip once enough are buffered."""
        self._lines += self._encoder.encode(line)
        self._lines += b"\n"
        if len(self._lines) >= _FLUSH:
            self._give()

    def _failure(self) -> OSError:
        """Return the error for a gzip that has failed: its own message, or how it ended."""
        how = await_end(self._gzip, _PATIENCE)
        stderr = ""
        if self._gzip.returncode is not None:
            assert self._gzip.stderr is not None
            stderr = " ".join(self._gzip.stderr.read().decode(errors="replace").split())
        return OSError(f"{self._path}: {stderr or f'gzip failed: {how}'}")


def nanoseconds(seconds: float) -> int:
    """Convert seconds to whole nanoseconds."""
    return round(seconds * 1e9)
