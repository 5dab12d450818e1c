"""Time that TCP took to retransmit lost bytes, from the captures at both ends of a path.

A receiver delivers bytes in order. When a retransmission fills the first gap, all bytes behind the
gap have waited for it. The recovery lasts from the time at which the missing bytes were first sent
to the time at which the copy that arrived was sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from testbed.pcap.byte_ledger import ByteRangeSet, SentFrames
from testbed.pcap.frames import Flow, Frame

Span: TypeAlias = tuple[int, int]
"""When missing bytes were first sent, and when the copy that arrived was sent, in ns."""


def within(spans: Iterable[Span], begin: int, end: int) -> float:
    """Return the seconds between two times, given in ns, that lie in any of the ascending spans."""
    total, reached = 0, begin
    for a, b in spans:
        total += max(0, min(b, end) - max(a, reached))
        reached = max(reached, min(b, end))
    return total / 1e9


class RetransmissionGaps:
    """The recoveries in one direction of the path between two nodes, over one link or several."""

    def __init__(self, sent: SentFrames, arrived: Sequence[Frame], host: str) -> None:
        """Find the recoveries.

        sent: the frames sent on the path's first link. arrived: the frames that its last link
        delivered, in order. host: only flows from or to this IP address count, as other nodes may
        share the links.
        """
        mine = [frame for frame in arrived if frame.flow is not None and host in frame.flow]
        self._spans = sorted(_recoveries(sent, mine))

    def within(self, begin: int, end: int) -> float:
        """Return the seconds between two times, given in ns, that were spent in recoveries."""
        return within(self._spans, begin, end)


def _recoveries(sent: SentFrames, arrived: Sequence[Frame]) -> Iterator[Span]:
    copies: dict[tuple[Flow, int, int], list[int]] = {}
    for each in sent.frames:
        frame = each.frame
        if frame.flow is not None and frame.payload:
            copies.setdefault((frame.flow, frame.sequence, frame.id), []).append(frame.t)
    covered: dict[Flow, ByteRangeSet] = {}
    for frame in arrived:
        if frame.flow is None or not frame.payload or frame.flow not in sent.flows:
            continue
        mine = covered.setdefault(frame.flow, ByteRangeSet())
        before = mine.contiguous_end
        start = sent.streams[frame.flow].offset(frame.sequence, mine.end)
        mine.add(start, start + len(frame.payload))
        times = copies.get((frame.flow, frame.sequence, frame.id))
        if mine.contiguous_end == before or not times:
            continue
        again = times[bisect_right(times, frame.t) - 1]
        first = sent.first_sent(frame.flow, before)
        if first is not None and first < again:
            yield first, again
