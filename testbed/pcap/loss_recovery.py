"""How long TCP took to send again what was lost on the way, by the captures at both ends of it.

A receiver hands out bytes in order. When a frame arrives that fills the first gap, and is not the
first that was sent with these bytes, all behind it has waited: from when they were first sent until
the copy that arrived was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from testbed.pcap.byte_ledger import Book, ByteRangeSet
from testbed.pcap.frames import Flow, Frame


class RetransmissionGaps:
    """All recoveries of one direction of the way between two nodes, over one link or several."""

    def __init__(self, sent: Book, arrived: Sequence[Frame], host: str) -> None:
        """`sent` is the first link's, `arrived` what the last one delivered, in its order.

        Only what comes from or goes to an IP address counts: others may share the links.
        """
        mine = [frame for frame in arrived if frame.flow is not None and host in frame.flow]
        self._spans = sorted(_recoveries(sent, mine))

    def within(self, begin: int, end: int) -> float:
        """Seconds between two moments, in ns, in which something lost was being sent again."""
        total, reached = 0, begin
        for a, b in self._spans:
            total += max(0, min(b, end) - max(a, reached))
            reached = max(reached, min(b, end))
        return total / 1e9


def _recoveries(sent: Book, arrived: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    """(first sent, sent again), in ns."""
    copies: dict[tuple[Flow, int, int], list[int]] = {}
    for each in sent.sent:
        frame = each.frame
        if frame.flow is not None and frame.payload:
            copies.setdefault((frame.flow, frame.sequence, frame.id), []).append(frame.t)
    covered: dict[Flow, ByteRangeSet] = {}
    for frame in arrived:
        if frame.flow is None or not frame.payload or frame.flow not in sent.flows:
            continue
        mine = covered.setdefault(frame.flow, ByteRangeSet())
        before = mine.whole
        start = sent.streams[frame.flow].place(frame.sequence, mine.end)
        mine.add(start, start + len(frame.payload))
        times = copies.get((frame.flow, frame.sequence, frame.id))
        if mine.whole == before or not times:
            continue
        again = times[bisect_right(times, frame.t) - 1]
        first = sent.first_sent(frame.flow, before)
        if first is not None and first < again:
            yield first, again
