"""Round-trip times: the smoothed one, its deviation, the time-out (RFC 6298), and the minimum.

Linux (tcp_rtt_estimator) differs from RFC 6298 in three ways. The deviation that counts is the
largest one within a window; it falls by a quarter of the difference per window; and it is never
less than the shortest time-out, so that the time-out is at least the smoothed round trip plus
200 ms. A round trip that is shorter than usual raises the deviation by an eighth only.
"""

from __future__ import annotations

from collections import deque

_RTO_MAX = 120.0  # seconds, net.ipv4.tcp_rto_max_ms
_RTO_INITIAL = 1.0  # seconds, RFC 6298
_MINIMUM_WINDOW = 300.0  # seconds, net.ipv4.tcp_min_rtt_wlen


class RttEstimator:
    """Estimates from samples in seconds; `smoothed` and `minimum` are 0 before the first."""

    __slots__ = (
        "_deviation",
        "_floor",
        "_largest_deviation",
        "_minima",
        "_variation",
        "_window_end",
        "minimum",
        "rto",
        "smoothed",
    )

    def __init__(self, rto_min: float) -> None:
        self.smoothed = 0.0
        self.minimum = 0.0
        self.rto = _RTO_INITIAL
        self._floor = rto_min
        self._deviation = 0.0  # Linux's mdev, here of four times the mean deviation
        self._largest_deviation = rto_min
        self._variation = 0.0
        self._window_end = 0
        self._minima: deque[tuple[float, float]] = deque()

    def sample(self, rtt: float, acknowledged: int, next_sequence: int) -> None:
        """Take in a round trip that an acknowledgement of `acknowledged` has shown.

        next_sequence: of the next new data; a window of deviations lasts until it is acknowledged.
        """
        if self.smoothed:
            error = rtt - self.smoothed
            self.smoothed += error / 8
            if error < 0:
                error = -error - self._deviation / 4
                if error > 0:
                    error /= 8
            else:
                error -= self._deviation / 4
            self._deviation += error
            if self._deviation > self._largest_deviation:
                self._largest_deviation = self._deviation
                self._variation = max(self._variation, self._largest_deviation)
            if acknowledged > self._window_end:
                if self._largest_deviation < self._variation:
                    self._variation -= (self._variation - self._largest_deviation) / 4
                self._window_end = next_sequence
                self._largest_deviation = self._floor
        else:
            self.smoothed = rtt
            self._deviation = 2 * rtt
            self._variation = self._largest_deviation = max(self._deviation, self._floor)
            self._window_end = next_sequence
        self.rto = min(self.smoothed + self._variation, _RTO_MAX)

    def sample_minimum(self, now: float, rtt: float) -> None:
        """Let `rtt` count for the minimum of the last 300 s."""
        minima = self._minima
        while minima and minima[-1][1] >= rtt:
            minima.pop()
        minima.append((now, rtt))
        while now - minima[0][0] > _MINIMUM_WINDOW:
            minima.popleft()
        self.minimum = minima[0][1]

    def back_off(self) -> None:
        """Double the time-out; the next sample sets it anew."""
        self.rto = min(2 * self.rto, _RTO_MAX)
