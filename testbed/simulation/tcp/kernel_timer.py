"""Times as the kernel's timers keep them: whole ticks, rounded up, coarser the longer they are.

Linux's timer wheel (kernel/time/timer.c) never fires early: a timer expires with the tick after the
one at which it is due. From 63 ticks on it expires with every 8th tick, from 504 on with every
64th, and so on.
"""

from __future__ import annotations

import math

_LEVEL_BITS = 3  # each level of the wheel is 8 times coarser
_FINE_TICKS = 63  # the wheel's first level; each further one reaches 8 times as far
_ROUNDING = 1e-6  # ticks: 0.2 s are 50 ticks of 4 ms, not 51


class KernelTimer:
    """The tick of one host."""

    __slots__ = ("_per_second", "tick")

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self._per_second = 1.0 / tick

    def ticks(self, now: float) -> int:
        """Return the number of ticks until `now`."""
        return int(now * self._per_second + _ROUNDING)

    def whole(self, seconds: float) -> int:
        """Return a duration in ticks, rounded up."""
        return math.ceil(seconds * self._per_second - _ROUNDING)

    def expiry(self, now: float, seconds: float) -> float:
        """Return the time at which a timer expires that is set at `now` to last `seconds`."""
        duration = math.ceil(seconds * self._per_second - _ROUNDING)
        shift, reach = 0, _FINE_TICKS
        while duration >= reach:
            shift += _LEVEL_BITS
            reach <<= _LEVEL_BITS
        ends = int(now * self._per_second + _ROUNDING) + duration
        return (((ends >> shift) + 1) << shift) * self.tick
