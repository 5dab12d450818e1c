"""The use of every byte on a link: payload, headers, ZeroMQ, acknowledgements, retransmissions.

The frames are those that the sending host's interface captured, for one direction of a link. The
meaning of their bytes is read from the TCP stream captured at the host that it begins at: at later
hosts packets may be missing, or take another link.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from testbed.pcap.frames import ETHERNET, FIN, RST, SYN, Flow, Frame
from testbed.pcap.tcp_streams import Stream


class Ledger(msgspec.Struct, kw_only=True):
    """Bytes of one direction of a link, by use."""

    payload: int = 0
    """Payloads that codecs wrote, in whole bytes."""
    messages: int = 0
    """Headers of the testbed's messages."""
    zmtp: int = 0
    """ZeroMQ's own bytes: greeting, commands, headers of its frames."""
    tcp_ip: int = 0
    """TCP and IP headers of frames that carry new bytes."""
    ethernet: int = 0
    """Ethernet headers of frames that carry new bytes."""
    acknowledgements: int = 0
    """Whole frames without TCP payload."""
    retransmissions: int = 0
    """Bytes carried before, and whole frames that carry no other bytes."""
    connections: int = 0
    """Whole frames that open or end a connection without payload, or belong to a connection that
    was open before the capture."""
    other: int = 0
    """Whole frames that are not TCP, and padding."""

    @property
    def total(self) -> int:
        """The sum of all uses."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    def add(self, use: str, size: int) -> None:
        """Add `size` bytes to a use."""
        setattr(self, use, getattr(self, use) + size)


@dataclass(frozen=True)
class SentFrame:
    """A frame, and the (start, end) parts of its stream that it is the first to carry here."""

    frame: Frame
    parts: list[tuple[int, int]] = field(default_factory=list)


class SentFrames:
    """All frames of one direction of a link, in the order of sending."""

    def __init__(self, frames: Iterable[Frame], streams: Mapping[Flow, Stream]) -> None:
        self.streams = streams
        self.frames: list[SentFrame] = []
        covered: dict[Flow, ByteRangeSet] = {}
        self._firsts: dict[Flow, list[tuple[int, int, int]]] = {}
        for frame in frames:
            parts: list[tuple[int, int]] = []
            if frame.flow is not None and frame.flow in streams and frame.payload:
                mine = covered.setdefault(frame.flow, ByteRangeSet())
                start = streams[frame.flow].offset(frame.sequence, mine.end)
                parts = mine.add(start, start + len(frame.payload))
                firsts = self._firsts.setdefault(frame.flow, [])
                firsts += [(begin, end, frame.t) for begin, end in parts]
            self.frames.append(SentFrame(frame, parts))
        for firsts in self._firsts.values():
            firsts.sort()
        self._times = [sent.frame.t for sent in self.frames]

    def between(self, begin: int, end: int) -> Ledger:
        """Return the ledger of the frames sent from `begin` to `end` (exclusive), in ns."""
        ledger = Ledger()
        for sent in self.frames[self._index(begin) : self._index(end)]:
            self._count(sent, ledger)
        return ledger

    def frames_between(self, begin: int, end: int) -> int:
        """Return the number of frames sent from `begin` to `end` (exclusive), in ns."""
        return self._index(end) - self._index(begin)

    @property
    def flows(self) -> Collection[Flow]:
        """The flows that carried payload over this link."""
        return self._firsts.keys()

    def first_sent(self, flow: Flow, offset: int) -> int | None:
        """Return when the byte at a stream's offset was first sent, in ns; None if it was not."""
        firsts = self._firsts.get(flow, [])
        at = bisect_right(firsts, offset, key=lambda first: first[0]) - 1
        return firsts[at][2] if at >= 0 and offset < firsts[at][1] else None

    @property
    def last(self) -> int:
        """The time of the last frame in ns; 0 without frames."""
        return self._times[-1] if self._times else 0

    def _index(self, t: int) -> int:
        return bisect_left(self._times, t)

    def _count(self, sent: SentFrame, ledger: Ledger) -> None:
        frame = sent.frame
        carried, new = len(frame.payload), sum(end - start for start, end in sent.parts)
        if frame.flow is None:
            ledger.add("other", frame.size)
        elif not carried:
            opens = frame.flags & (SYN | FIN | RST)
            ledger.add("connections" if opens else "acknowledgements", frame.size)
        elif frame.flow not in self.streams:
            ledger.add("connections", frame.size)
        elif not new:
            ledger.add("retransmissions", frame.size)
        else:
            ledger.add("ethernet", ETHERNET)
            ledger.add("tcp_ip", frame.ip + frame.tcp)
            ledger.add("retransmissions", carried - new)
            ledger.add("other", frame.size - ETHERNET - frame.ip - frame.tcp - carried)
            for start, end in sent.parts:
                for use, size in self.streams[frame.flow].uses(start, end):
                    ledger.add(use, size)


class ByteRangeSet:
    """The parts of a stream that have been seen, as ranges of bytes."""

    def __init__(self) -> None:
        self.end = 0
        """The end of the last part."""
        self._holes: list[tuple[int, int]] = []
        """Ranges before `end` that have not been seen, in order."""

    @property
    def contiguous_end(self) -> int:
        """The offset up to which all bytes have been seen."""
        return self._holes[0][0] if self._holes else self.end

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add a range of bytes; return its parts that were not in the set before."""
        new, holes = [], []
        for begin, stop in self._holes:
            low, high = max(begin, start), min(stop, end)
            if low >= high:
                holes.append((begin, stop))
                continue
            new.append((low, high))
            holes += [part for part in ((begin, low), (high, stop)) if part[0] < part[1]]
        if start > self.end:
            holes.append((self.end, start))
        if end > self.end:
            new.append((max(start, self.end), end))
            self.end = end
        self._holes = holes
        return new
