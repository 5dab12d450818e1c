"""Frames that were captured in a run, and the uses of their bytes, for checks and rounds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from testbed.audit.link_packets import CounterSnapshot
from testbed.links.wire_counters import DirectionCounters
from testbed.pcap.byte_ledger import Ledger, SentFrames
from testbed.pcap.frames import Frame


class Entry(msgspec.Struct, kw_only=True):
    """One direction of a link while the generations of one prompt were decoded."""

    prompt: int
    link: str
    direction: str
    frames: int
    bytes: int
    """Of all frames that were sent."""
    uses: Ledger
    """The same bytes, by use."""

    @property
    def unaccounted(self) -> int:
        """Bytes without a use."""
        return self.bytes - self.uses.total


class GenerationCounters(NamedTuple):
    """The counters around generations of one prompt, decoded together."""

    prompt: int
    before: CounterSnapshot
    after: CounterSnapshot
    messages: dict[str, int] | None
    """Bytes of the messages that devices sent ("up") and received ("down"); None when some were
    sent again after a connection broke."""


class CapturedDirection:
    """One direction of a link: the frames that were sent, and those that arrived."""

    def __init__(self, sent: SentFrames, arrived: list[Frame]) -> None:
        self.sent, self.arrived = sent, arrived
        self._sent_series = Series([each.frame for each in sent.frames])
        self._arrived_series = Series(arrived)

    def entry(self, counted: GenerationCounters, link: str, direction: str) -> Entry:
        """Return the uses of the bytes that were sent between the counters of `counted`."""
        begin, end = counted.before.until, counted.after.until
        frames, size = self._sent_series.between(begin, end)
        uses = self.sent.between(begin, end)
        return Entry(
            prompt=counted.prompt,
            link=link,
            direction=direction,
            frames=frames,
            bytes=size,
            uses=uses,
        )

    def differences(self, counted: GenerationCounters, link: str, direction: str) -> Iterator[str]:
        """Yield where counts of the link and of the captures differ."""
        before, after = counted.before, counted.after
        first, last = (_counters(reading, link, direction) for reading in (before, after))
        taken = (
            last.received_packets - first.received_packets,
            last.received_bytes - first.received_bytes,
        )
        let_out = (
            last.forwarded_packets - first.forwarded_packets,
            last.forwarded_bytes - first.forwarded_bytes,
        )
        for what, series, theirs in (
            ("sent", self._sent_series, taken),
            ("arrived", self._arrived_series, let_out),
        ):
            least = series.between(before.until, after.since)
            most = series.between(before.since, after.until)
            if not all(a <= n <= b for a, n, b in zip(least, theirs, most, strict=True)):
                yield (
                    f"{most[0]} frames with {most[1]} B {what} by the capture, "
                    f"{theirs[0]} with {theirs[1]} B by the link"
                )


def ledger(
    captured: Mapping[str, Mapping[str, CapturedDirection]], counted: Sequence[GenerationCounters]
) -> list[Entry]:
    """Return the uses of the bytes of all links, prompt by prompt."""
    return [
        each.entry(prompt, link, direction)
        for prompt in counted
        for link, directions in captured.items()
        for direction, each in directions.items()
    ]


class Series:
    """Frames in the order they were captured, summed up."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._times = [frame.t for frame in frames]
        self._sums = [0, *accumulate(frame.size for frame in frames)]

    def between(self, begin: int, end: int) -> tuple[int, int]:
        """Return the number of frames from `begin` up to `end`, and their bytes."""
        first, last = bisect_left(self._times, begin), bisect_left(self._times, end)
        return last - first, self._sums[last] - self._sums[first]


def _counters(reading: CounterSnapshot, link: str, direction: str) -> DirectionCounters:
    counters = reading.wires[link]
    return counters.up if direction == "up" else counters.down
