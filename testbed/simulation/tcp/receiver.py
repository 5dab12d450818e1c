"""The receiving half of a connection: bytes in order, ranges behind gaps, SACK blocks."""

from __future__ import annotations

from testbed.simulation.tcp.acknowledger import Acknowledger
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.receive_window import ReceiveWindow
from testbed.simulation.tcp.rtt import RttEstimator
from testbed.simulation.tcp.segment import Block, Segment
from testbed.simulation.tcp.settings import TcpSettings

_MOST_BLOCKS = 3  # beside timestamps, RFC 2018


class Receiver:
    """The bytes that have arrived; `next` is the first byte that has not arrived in order."""

    __slots__ = (
        "_acknowledged",
        "_duplicate",
        "_edge",
        "_ranges",
        "acknowledger",
        "echo",
        "next",
        "window",
    )

    def __init__(self, settings: TcpSettings, timer: KernelTimer, rtt: RttEstimator) -> None:
        self.acknowledger = Acknowledger(settings.advertised_mss, timer, rtt)
        self.window = ReceiveWindow(settings)
        self.next = 0
        self.echo = 0
        """The timestamp to send back, of the segment that advanced the acknowledgement."""
        self._acknowledged = 0
        self._edge = 0
        self._ranges: list[Block] = []  # the one received last first
        self._duplicate: Block | None = None

    def begin(self, timestamp: int) -> None:
        """Take in a SYN, whose number is 0."""
        self.next = self._acknowledged = 1
        self.echo = timestamp

    def open(self, now: float) -> None:
        """Begin after the handshake."""
        self.acknowledger.open(now)
        self.window.open(now)

    @property
    def unacknowledged(self) -> int:
        """The bytes received in order that no acknowledgement covers yet."""
        return self.next - self._acknowledged

    @property
    def gap(self) -> bool:
        """True if data is held behind a gap."""
        return bool(self._ranges)

    def note_timestamp(self, segment: Segment) -> None:
        """Keep the timestamp of a segment that begins at or before the last acknowledgement."""
        if segment.timestamp >= self.echo and segment.sequence <= self._acknowledged:
            self.echo = segment.timestamp

    def take(self, now: float, segment: Segment) -> bool:
        """Take in a segment with data; return True if more bytes are in order now."""
        start, end = segment.sequence, segment.sequence + segment.length
        acknowledger = self.acknowledger
        if end <= self.next:
            self._duplicate = (start, end)
            acknowledger.received_duplicate(self._edge - self.next)
            return False
        if start > self.next:
            acknowledger.owed = True
            self._hold(start, end)
            return False
        acknowledger.received(now, segment.length, self._edge - self.next, push=segment.push)
        window = self.window
        if window.received(segment.length):
            acknowledger.quick |= 1  # the sender learns at once of a window that grows
        if segment.length >= acknowledger.mss and segment.echo:
            window.echoed(now, segment.echo)
        self.next = end
        if self._ranges:
            self._close_gaps()
        return True

    def acknowledge(self) -> tuple[int, tuple[Block, ...]]:
        """Return the window and the SACK blocks of a segment that is sent now."""
        held = 0
        blocks: tuple[Block, ...] = ()
        if self._ranges or self._duplicate is not None:
            held = sum(end - start for start, end in self._ranges)
            blocks = tuple(self._ranges)
            if self._duplicate is not None:
                blocks = (self._duplicate, *blocks)
                self._duplicate = None
            blocks = blocks[:_MOST_BLOCKS]
        self._acknowledged = self.next
        edge = max(self._edge, self.next + self.window.size(held))
        self._edge = edge
        self.acknowledger.sent()
        return edge - self.next, blocks

    def _hold(self, start: int, end: int) -> None:
        """Keep data behind a gap; the range that it joins becomes the first."""
        apart = []
        for first, last in self._ranges:
            if first <= start and end <= last:
                self._duplicate = (start, end)
            if last < start or end < first:
                apart.append((first, last))
            else:
                start, end = min(start, first), max(end, last)
        self._ranges = [(start, end), *apart]

    def _close_gaps(self) -> None:
        while reached := [last for first, last in self._ranges if first <= self.next]:
            self.next = max(self.next, *reached)
            self._ranges = [each for each in self._ranges if each[0] > self.next]
        if not self._ranges:
            self.acknowledger.now = True
