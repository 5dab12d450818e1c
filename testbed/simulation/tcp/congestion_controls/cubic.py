"""CUBIC: the window grows by the cube of the time since the last congestion event (RFC 9438).

As Linux's tcp_cubic has it, with fast convergence, the TCP-friendly region and HyStart:
C = 0.4 segments/s³ (410/1024), β = 0.7 (717/1024).
"""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from testbed.simulation.tcp.congestion_controls.base import CongestionControl
from testbed.simulation.tcp.congestion_controls.hystart import HyStart
from testbed.simulation.tcp.congestion_window import CongestionWindow
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rtt import RttEstimator

_SCALE = 1024
_BETA = 717
_C = 410 / _SCALE
_FRIENDLY = 8 * (_SCALE + _BETA) // 3 // (_SCALE - _BETA)  # in eighths
_SETTLE = 1.0  # seconds after a congestion event in which round trips do not count
_FASTEST, _FIRST_FASTEST = 2, 20  # acknowledged segments per segment of growth
_STILL = 100
_LEAST_INTERVAL = 1 / 32  # seconds between two updates of an unchanged window


class Cubic(CongestionControl):
    """The window's growth since `_epoch`, the first acknowledgement after a congestion event."""

    __slots__ = (
        "_acknowledged",
        "_epoch",
        "_friendly",
        "_hystart",
        "_last_maximum",
        "_last_time",
        "_last_window",
        "_origin",
        "_per_step",
        "_plateau",
        "_shortest",
    )

    name: ClassVar[str] = "cubic"

    def __init__(
        self, window: CongestionWindow, rtt: RttEstimator, timer: KernelTimer, mss: int
    ) -> None:
        super().__init__(window, rtt, timer, mss)
        self._per_step = 0
        self._last_maximum = 0
        self._last_window = 0
        self._last_time = -1.0
        self._origin = 0
        self._plateau = 0.0
        self._shortest = 0.0
        self._epoch: float | None = None
        self._acknowledged = 0
        self._friendly = 0
        self._hystart = HyStart()

    @override
    def avoid_congestion(self, now: float, acknowledged: int) -> None:
        self._update(now, acknowledged)
        self._window.increase(self._per_step, acknowledged)

    @override
    def reduced(self) -> int:
        self._epoch = None
        segments = self._window.segments
        if segments < self._last_maximum:  # fast convergence
            self._last_maximum = segments * (_SCALE + _BETA) // (2 * _SCALE)
        else:
            self._last_maximum = segments
        return max(segments * _BETA // _SCALE, 2)

    @override
    def sample(self, now: float, rtt: float, acknowledged: int, next_sequence: int) -> None:
        if self._epoch is not None and now - self._epoch < _SETTLE:
            return
        if not self._shortest or rtt < self._shortest:
            self._shortest = rtt
        window = self._window
        if window.in_slow_start and not self._hystart.found:
            smoothed = self._rtt.smoothed
            share = 2.0 if window.segments < window.threshold // 2 else 1.2
            rate = share * window.segments * self._mss / smoothed if smoothed else 0.0
            self._hystart.watch(
                now,
                rtt,
                self._shortest,
                window,
                rate=rate,
                acknowledged=acknowledged,
                next_sequence=next_sequence,
            )

    @override
    def begin_flight(self, now: float, last_sent: float) -> None:
        if self._epoch is not None and now > last_sent:  # idle times do not count
            self._epoch = min(self._epoch + now - last_sent, now)

    @override
    def time_out(self) -> None:
        Cubic.__init__(self, self._window, self._rtt, self._timer, self._mss)

    def _update(self, now: float, acknowledged: int) -> None:
        """Set how many segments have to be acknowledged for the window to grow by one."""
        segments = self._window.segments
        self._acknowledged += acknowledged
        if self._last_window == segments and now - self._last_time <= _LEAST_INTERVAL:
            return
        ticks = self._timer.ticks
        if self._epoch is None or ticks(now) != ticks(self._last_time):
            self._last_window = segments
            self._last_time = now
            if self._epoch is None:
                self._begin_epoch(now, segments, acknowledged)
            assert self._epoch is not None
            offset = now - self._epoch + self._shortest - self._plateau
            target = self._origin + int(_C * offset**3)
            self._per_step = (
                segments // (target - segments) if target > segments else _STILL * segments
            )
            if not self._last_maximum and self._per_step > _FIRST_FASTEST:
                self._per_step = _FIRST_FASTEST
        self._keep_up_with_reno(segments)
        self._per_step = max(self._per_step, _FASTEST)

    def _begin_epoch(self, now: float, segments: int, acknowledged: int) -> None:
        self._epoch = now
        self._acknowledged = acknowledged
        self._friendly = segments
        if self._last_maximum <= segments:
            self._plateau = 0.0
            self._origin = segments
        else:
            self._plateau = float(((self._last_maximum - segments) / _C) ** (1 / 3))
            self._origin = self._last_maximum

    def _keep_up_with_reno(self, segments: int) -> None:
        per_segment = max(segments * _FRIENDLY >> 3, 1)
        grown = max(0, (self._acknowledged - 1) // per_segment)
        self._acknowledged -= grown * per_segment
        self._friendly += grown
        if self._friendly > segments:
            self._per_step = min(self._per_step, segments // (self._friendly - segments))
