"""The interface of congestion controls, as Linux's tcp_congestion_ops has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from testbed.simulation.tcp.congestion_window import CongestionWindow
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rtt import RttEstimator


class CongestionControl(ABC):
    """Decides how the congestion window of one connection grows and shrinks.

    A subclass in a module of this package is found without registration, by its `name`. All times
    are in seconds, windows in segments of `mss` bytes.
    """

    __slots__ = ("_mss", "_rtt", "_timer", "_window")

    name: ClassVar[str]

    def __init__(
        self, window: CongestionWindow, rtt: RttEstimator, timer: KernelTimer, mss: int
    ) -> None:
        self._window = window
        self._rtt = rtt
        self._timer = timer
        self._mss = mss

    def grow(self, now: float, acknowledged: int) -> None:
        """Raise the window after `acknowledged` segments were delivered, outside of recovery."""
        window = self._window
        if not window.limits:
            return
        if window.in_slow_start:
            acknowledged = window.slow_start(acknowledged)
        if acknowledged:
            self.avoid_congestion(now, acknowledged)

    @abstractmethod
    def avoid_congestion(self, now: float, acknowledged: int) -> None:
        """Raise the window after `acknowledged` segments were delivered, outside of slow start."""

    @abstractmethod
    def reduced(self) -> int:
        """Return the slow-start threshold for a congestion event that happens now."""

    @abstractmethod
    def sample(self, now: float, rtt: float, acknowledged: int, next_sequence: int) -> None:
        """Take in the round trip of the latest data that an acknowledgement covers."""

    @abstractmethod
    def begin_flight(self, now: float, last_sent: float) -> None:
        """Take in that data is sent while none was under way."""

    @abstractmethod
    def time_out(self) -> None:
        """Take in that the retransmission timer has expired."""
