"""Links that change with time: what both directions do, from which moment on.

A schedule is compiled once, from steps, ramps, outages, flaps, handovers and traces, to moments at
which a whole state comes into force. Times are seconds from the link's time 0.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.links.spec import Duplex, LinkSpec

RAMP_STEP = 0.02  # seconds: a ramp is a staircase of steps this long


@dataclass(frozen=True, slots=True)
class Moment:
    """From `time` on the link does `up` and `down`; `held` lets nothing start, nor loses it."""

    time: float
    up: LinkSpec
    down: LinkSpec
    held: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a link does after its first spec, in order of time.

    on_first_packet: time 0 is when the first packet comes, in either direction; else it is when
        a run of a method begins.
    """

    moments: tuple[Moment, ...] = ()
    on_first_packet: bool = False


@dataclass(slots=True)
class Draft:
    """Collects what will happen, in any order, and compiles it.

    values: per direction ('up' or 'down'), times and the fields that change there, in order.
    outages: intervals in which everything is lost.
    holds: intervals in which everything waits.
    """

    duplex: Duplex
    values: dict[str, list[tuple[float, dict[str, Any]]]] = field(
        default_factory=lambda: {"up": [], "down": []}
    )
    outages: list[tuple[float, float]] = field(default_factory=list)
    holds: list[tuple[float, float]] = field(default_factory=list)

    def set(self, way: str, time: float, values: dict[str, Any]) -> None:
        """Change fields of one direction from `time` on."""
        self.values[way].append((time, values))

    def ramp(self, way: str, time: float, over: float, values: dict[str, Any]) -> None:
        """Change fields linearly from what they are at `time`; ValueError for what is no number."""
        before = _in_force(self._specs(way), time)
        for name, value in values.items():
            for end in (getattr(before, name), value):
                if isinstance(end, bool) or not isinstance(end, float | int):
                    raise ValueError(f"{name}: a ramp needs plain numbers at both ends")
        steps = max(1, round(over / RAMP_STEP))
        for step in range(1, steps + 1):
            share = step / steps
            self.set(
                way,
                time + over * share,
                {
                    name: value
                    if step == steps
                    else getattr(before, name) * (1 - share) + value * share
                    for name, value in values.items()
                },
            )

    def compile(self, *, on_first_packet: bool = False) -> Schedule:
        """The schedule; ValueError, starting with the field, when a value makes no spec."""
        times = {time for steps in self.values.values() for time, _ in steps}
        times |= {end for interval in (*self.outages, *self.holds) for end in interval}
        found = []
        up, down = self._specs("up"), self._specs("down")
        for time in sorted(times):
            now_up, now_down = _in_force(up, time), _in_force(down, time)
            if _within(self.outages, time):
                now_up, now_down = replace(now_up, loss=1.0), replace(now_down, loss=1.0)
            found.append(Moment(time, now_up, now_down, _within(self.holds, time)))
        return Schedule(tuple(found), on_first_packet)

    def _specs(self, way: str) -> list[tuple[float, LinkSpec]]:
        """What a direction does from when on, outages apart."""
        spec: LinkSpec = getattr(self.duplex, way)
        specs = [(-1.0, spec)]
        for time, values in sorted(self.values[way], key=_time):
            spec = replace(spec, **values)
            specs.append((time, spec))
        return specs


def _in_force(specs: list[tuple[float, LinkSpec]], time: float) -> LinkSpec:
    return specs[bisect_right(specs, time, key=_time) - 1][1]


def _time(entry: tuple[float, Any]) -> float:
    return entry[0]


def _within(intervals: Iterable[tuple[float, float]], time: float) -> bool:
    return any(start <= time < end for start, end in intervals)
