"""Reno: additive increase, halving at a congestion event (RFC 5681; Linux's tcp_reno)."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from testbed.simulation.tcp.congestion_controls.base import CongestionControl


class Reno(CongestionControl):
    """One segment more per window acknowledged; half the window at a congestion event."""

    __slots__ = ()

    name: ClassVar[str] = "reno"

    @override
    def avoid_congestion(self, now: float, acknowledged: int) -> None:
        self._window.increase(self._window.segments, acknowledged)

    @override
    def reduced(self) -> int:
        return max(self._window.segments >> 1, 2)

    @override
    def sample(self, now: float, rtt: float, acknowledged: int, next_sequence: int) -> None:
        pass

    @override
    def begin_flight(self, now: float, last_sent: float) -> None:
        pass

    @override
    def time_out(self) -> None:
        pass
