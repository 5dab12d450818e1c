"""The send buffer: how much an application can write before it has to wait, as Linux counts it.

Memory is what was written and not acknowledged, and the overhead of each buffer of segments. The
limit follows the congestion window (tcp_sndbuf_expand), but only while the application waits; it
may go on when a third of the buffer is free. A wait in the middle of a large message can cost a
round trip that the congestion window does not.
"""

from __future__ import annotations

from testbed.simulation.tcp.congestion_window import CongestionWindow
from testbed.simulation.tcp.rtt import RttEstimator

OVERHEAD = 832  # bytes, seen as skmem of `ss -m` with Linux 6.18
_PER_SEGMENT = 2 * 2304  # twice a segment of up to 1460 B with its overhead
_LARGEST = 4194304  # the third value of net.ipv4.tcp_wmem
_MOST_BYTES = 65535  # of one buffer of segments
_LEAST_SEGMENTS = 2  # net.ipv4.tcp_min_tso_segs


class SendBuffer:
    """Memory of one connection; `memory` counts what was sent and not acknowledged."""

    __slots__ = (
        "_half_window",
        "_limit",
        "_mss",
        "_pushed",
        "_rtt",
        "_tail",
        "_window",
        "_written",
        "memory",
        "unsent",
        "waiting",
    )

    def __init__(self, window: CongestionWindow, rtt: RttEstimator, mss: int) -> None:
        self._window = window
        self._rtt = rtt
        self._mss = mss
        self._limit = window.segments * _PER_SEGMENT
        self._half_window = 0
        self._tail = 0  # bytes in the last buffer that was not sent
        self._written = 0
        self._pushed = 0
        self.memory = 0
        self.unsent = 0
        """Bytes that were accepted and not sent."""
        self.waiting = 0
        """Bytes that the application still has to write."""

    def largest_window(self, window: int) -> None:
        """Take in a window that the peer has advertised; half of it limits one buffer."""
        self._half_window = max(self._half_window, window >> 1)

    def accept(self) -> int:
        """Take more of what the application writes; return how many segments to send now.

        Call it again after sending, until it returns 0: then all was taken, or no memory is left.
        """
        goal = min(self._half_window, _MOST_BYTES) // self._mss * self._mss
        self._tail = min(self._tail, self.unsent)
        if not self.waiting:
            return 0
        if not self._tail or self._tail >= goal:
            if self._used(goal) >= self._limit:
                return 0
            self._tail = 0
        size = min(self.waiting, goal - self._tail)
        self.waiting -= size
        self.unsent += size
        self._tail += size
        self._written += size
        if not self.waiting or self._written - self._pushed > self._half_window:
            self._pushed = self._written
        else:
            return self.segments_per_buffer()
        return self.unsent

    def acknowledged(self) -> bool:
        """Grow after an acknowledgement; return True if the application may go on to write."""
        limit = self._window.segments * _PER_SEGMENT
        if limit > self._limit:
            self._limit = min(limit, _LARGEST)
        return 3 * self._used(_MOST_BYTES) <= 2 * self._limit

    def segments_per_buffer(self) -> int:
        """Return how many segments share one overhead: those of a millisecond, at least two."""
        smoothed = self._rtt.smoothed
        if not smoothed:
            return _LEAST_SEGMENTS
        window = self._window
        share = 2.0 if window.segments < window.threshold // 2 else 1.2
        return max(_LEAST_SEGMENTS, int(share * window.segments / smoothed / 1024))

    def _used(self, goal: int) -> int:
        return self.memory + self.unsent + -(-self.unsent // goal) * OVERHEAD
