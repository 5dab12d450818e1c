"""Where every byte of a link went: payload, headers, ZeroMQ, acknowledgements, retransmissions.

For one direction of a link, by the frames that its sender's interface let go. What they mean is
read from the stream as its origin sent it: further on packets may be missing, or take another link.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from testbed.pcap.frames import ETHERNET, FIN, RST, SYN, Flow, Frame
from testbed.pcap.tcp_streams import Stream


class Ledger(msgspec.Struct, kw_only=True):
    """Bytes of one direction of a link, by what they were for."""

    payload: int = 0
    """What codecs wrote, in whole bytes."""
    messages: int = 0
    """Headers of our messages."""
    zmtp: int = 0
    """ZeroMQ's own: greeting, commands, headers of its frames."""
    tcp_ip: int = 0
    """TCP and IP headers of frames that carry something new."""
    ethernet: int = 0
    """Ethernet headers of the same."""
    acknowledgements: int = 0
    """Whole frames that carry nothing."""
    retransmissions: int = 0
    """What was carried before, and whole frames when they carry nothing else."""
    connections: int = 0
    """Whole frames that open or end a connection and carry nothing, or are of one that was open
    before."""
    other: int = 0
    """Whole frames that are no TCP, and padding."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    def add(self, use: str, size: int) -> None:
        """Book so many bytes."""
        setattr(self, use, getattr(self, use) + size)


@dataclass(frozen=True)
class Sent:
    """One frame, and the parts of its flow's stream that it was the first to carry on this link."""

    frame: Frame
    parts: list[tuple[int, int]] = field(default_factory=list)


class Book:
    """All frames of one direction of a link, in the order they were sent."""

    def __init__(self, frames: Iterable[Frame], streams: Mapping[Flow, Stream]) -> None:
        self.streams = streams
        self.sent: list[Sent] = []
        covered: dict[Flow, ByteRangeSet] = {}
        self._firsts: dict[Flow, list[tuple[int, int, int]]] = {}
        for frame in frames:
            parts: list[tuple[int, int]] = []
            if frame.flow is not None and frame.flow in streams and frame.payload:
                mine = covered.setdefault(frame.flow, ByteRangeSet())
                start = streams[frame.flow].place(frame.sequence, mine.end)
                parts = mine.add(start, start + len(frame.payload))
                firsts = self._firsts.setdefault(frame.flow, [])
                firsts += [(begin, end, frame.t) for begin, end in parts]
            self.sent.append(Sent(frame, parts))
        for firsts in self._firsts.values():
            firsts.sort()
        self._times = [sent.frame.t for sent in self.sent]

    def between(self, begin: int, end: int) -> Ledger:
        """What the bytes were for that were sent from `begin` up to `end`, in ns."""
        ledger = Ledger()
        for sent in self.sent[self._place(begin) : self._place(end)]:
            self._enter(sent, ledger)
        return ledger

    def frames_between(self, begin: int, end: int) -> int:
        """How many frames were sent from `begin` up to `end`."""
        return self._place(end) - self._place(begin)

    @property
    def flows(self) -> Collection[Flow]:
        """The flows that carried something over this link."""
        return self._firsts.keys()

    def first_sent(self, flow: Flow, place: int) -> int | None:
        """When the byte at a place of a flow's stream was first sent; None if it never was."""
        firsts = self._firsts.get(flow, [])
        at = bisect_right(firsts, place, key=lambda first: first[0]) - 1
        return firsts[at][2] if at >= 0 and place < firsts[at][1] else None

    @property
    def last(self) -> int:
        """When the last frame was sent; 0 without any."""
        return self._times[-1] if self._times else 0

    def _place(self, t: int) -> int:
        return bisect_left(self._times, t)

    def _enter(self, sent: Sent, ledger: Ledger) -> None:
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
    """Which parts of a stream have been there."""

    def __init__(self) -> None:
        self.end = 0
        """Of the last part."""
        self._holes: list[tuple[int, int]] = []
        """Parts before it that have not been there, in their order."""

    @property
    def whole(self) -> int:
        """Up to where all has been there."""
        return self._holes[0][0] if self._holes else self.end

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """A part comes; returns what of it has not been there before."""
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
