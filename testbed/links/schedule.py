"""Links that change with time: what both directions do, from which moment on.

A schedule is compiled once, from steps, ramps, outages, flaps, handovers and traces, to moments at
which a whole state comes into force. Times are seconds from the link's time 0.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from testbed.bounds import MOST_MOMENTS
from testbed.links.handovers import Interval
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
    changes_at: when each change that a scenario writes begins.
    rows_until: the time of the last row of a direction's trace, for each direction that has one.
    """

    moments: tuple[Moment, ...] = ()
    on_first_packet: bool = False
    changes_at: tuple[float, ...] = ()
    rows_until: tuple[tuple[str, float], ...] = ()

    def opening(self, duplex: Duplex) -> Duplex:
        """What each direction of a link does when it first lets packets pass; `duplex` if never."""
        return Duplex(
            up=_first_that_lets_pass([duplex.up, *(each.up for each in self.moments)], self),
            down=_first_that_lets_pass([duplex.down, *(each.down for each in self.moments)], self),
        )

    @property
    def at_once(self) -> bool:
        """Whether the link begins with a change, so that its first spec is never in force."""
        return bool(self.moments) and self.moments[0].time == 0


def _first_that_lets_pass(specs: Sequence[LinkSpec], schedule: Schedule) -> LinkSpec:
    in_force = specs[1:] if schedule.at_once else specs
    return next((spec for spec in in_force if spec.lets_pass), specs[0])


class TooManyMomentsError(Exception):
    """A link would change too often; says how often, and what is allowed."""


class ScheduleBuilder:
    """Collects what will happen to a link, each direction in order of time, and compiles it.

    holds: intervals in which everything waits.

    Its methods raise ValueError for a value that no link can have, starting with the field, and
    TooManyMomentsError before any is made of more than a link may have.
    """

    def __init__(self, duplex: Duplex, *, holds: Iterable[Interval] = ()) -> None:
        self._specs = {"up": [(-1.0, duplex.up)], "down": [(-1.0, duplex.down)]}
        self._outages: list[Interval] = []
        self._holds = list(holds)
        self._moments = 2 * len(self._holds)
        self._rows_until: dict[str, float] = {}

    @property
    def holds(self) -> bool:
        """True if everything waits at some time."""
        return bool(self._holds)

    def set(self, direction: str, time: float, values: dict[str, Any]) -> None:
        """Change fields of one direction ('up' or 'down') from `time` on."""
        self._take(1)
        self._append(direction, time, values)

    def row(self, direction: str, time: float, values: dict[str, Any]) -> None:
        """Change fields of one direction as a row of its trace says."""
        self.set(direction, time, values)
        self._rows_until[direction] = time

    def ramp(self, direction: str, time: float, over: float, values: dict[str, Any]) -> None:
        """Change fields linearly from what they are at `time`; ValueError for what is no number."""
        _, before = self._specs[direction][-1]
        for name, value in values.items():
            for end in (getattr(before, name), value):
                if isinstance(end, bool) or not isinstance(end, float | int):
                    raise ValueError(f"{name}: a ramp needs plain numbers at both ends")
        steps = max(1, round(over / RAMP_STEP))
        self._take(steps)
        for step in range(1, steps + 1):
            share = step / steps
            self._append(
                direction,
                time + over * share,
                {
                    name: value
                    if step == steps
                    else getattr(before, name) * (1 - share) + value * share
                    for name, value in values.items()
                },
            )

    def outage(self, start: float, end: float) -> None:
        """Lose everything from `start` to `end`."""
        self._take(2)
        self._outages.append((start, end))

    def hold(self, start: float, end: float) -> None:
        """Let everything wait from `start` to `end`."""
        self._take(2)
        self._holds.append((start, end))

    def compile(
        self, *, on_first_packet: bool = False, changes_at: Iterable[float] = ()
    ) -> Schedule:
        """The schedule."""
        outages, holds = _merged(self._outages), _merged(self._holds)
        times = {time for specs in self._specs.values() for time, _ in specs[1:]}
        times |= {end for interval in (*self._outages, *self._holds) for end in interval}
        found = []
        for time in sorted(times):
            up, down = (_in_force(self._specs[direction], time) for direction in ("up", "down"))
            if _within(outages, time):
                up, down = replace(up, loss=1.0), replace(down, loss=1.0)
            found.append(Moment(time, up, down, _within(holds, time)))
        rows_until = tuple(self._rows_until.items())
        return Schedule(tuple(found), on_first_packet, tuple(changes_at), rows_until)

    def _append(self, direction: str, time: float, values: dict[str, Any]) -> None:
        last, spec = self._specs[direction][-1]
        assert last <= time
        self._specs[direction].append((time, replace(spec, **values)))

    def _take(self, moments: int) -> None:
        """Count moments that are about to be made."""
        self._moments += moments
        if self._moments > MOST_MOMENTS:
            raise TooManyMomentsError(
                f"it changes at {self._moments:,} moments; at most {MOST_MOMENTS:,} are allowed, "
                f"and a ramp has {1 / RAMP_STEP:.0f} a second"
            )


def _in_force(specs: list[tuple[float, LinkSpec]], time: float) -> LinkSpec:
    return specs[bisect_right(specs, time, key=itemgetter(0)) - 1][1]


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same times in intervals that are apart and in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _within(intervals: list[Interval], time: float) -> bool:
    """Return True if a time lies in one of several intervals that are apart and in order."""
    place = bisect_right(intervals, time, key=itemgetter(0)) - 1
    return place >= 0 and time < intervals[place][1]
