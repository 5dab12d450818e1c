"""HyStart: ends slow start before it loses packets (Ha and Rhee 2011; Linux's tcp_cubic).

Slow start ends when acknowledgements have come in a train for half of the shortest round trip, or
when the shortest round trip of eight in this window exceeds that by an eighth (4 to 16 ms).
"""

from __future__ import annotations

import math

from testbed.simulation.tcp.congestion_window import CongestionWindow

# Linux's parameters of tcp_cubic, in seconds and segments.
_LOW_WINDOW = 16
_TRAIN_GAP = 0.002
_SAMPLES = 8
_LEAST_RISE, _MOST_RISE = 0.004, 0.016
_MOST_PACING = 0.001
_PACED_BYTES = 4 * 65536  # four of the largest segments that offloads make


class HyStart:
    """Watches the round trips of one connection in slow start."""

    __slots__ = ("_last", "_round_end", "_samples", "_shortest", "_started", "found")

    def __init__(self) -> None:
        self.found = False
        self._started = 0.0
        self._last = 0.0
        self._round_end = 0
        self._shortest = math.inf
        self._samples = 0

    def watch(
        self,
        now: float,
        rtt: float,
        shortest: float,
        window: CongestionWindow,
        *,
        rate: float,
        acknowledged: int,
        next_sequence: int,
    ) -> None:
        """Take in a round trip, and set the window's threshold if slow start has to end.

        shortest: the shortest round trip so far. rate: bytes/s at which Linux would pace.
        """
        if acknowledged > self._round_end:
            self._begin(now, next_sequence)
        if window.segments < _LOW_WINDOW:
            return
        if now - self._last <= _TRAIN_GAP:
            self._last = now
            pacing = min(_MOST_PACING, _PACED_BYTES / rate) if rate else 0.0
            self.found = now - self._started > (shortest + pacing) / 2
        self._shortest = min(self._shortest, rtt)
        if self._samples < _SAMPLES:
            self._samples += 1
        else:
            rise = min(max(shortest / 8, _LEAST_RISE), _MOST_RISE)
            self.found = self.found or self._shortest > shortest + rise
        if self.found:
            window.threshold = window.segments

    def _begin(self, now: float, next_sequence: int) -> None:
        self._started = self._last = now
        self._round_end = next_sequence
        self._shortest = math.inf
        self._samples = 0
