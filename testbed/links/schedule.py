"""Schedules: the settings of both directions of a link, and the times at which they change.

A schedule is compiled once, from steps, ramps, outages, flaps, handovers and traces, to moments,
each with the whole state of the link from then on. Times are in seconds from the link's time 0.
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
    """The state of a link from `time` on; while it is `held`, packets wait and none is lost."""

    time: float
    up: LinkSpec
    down: LinkSpec
    held: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """The states of a link after its first spec, in order of time.

    on_first_packet: time 0 is the first packet, in either direction, instead of the beginning of
        a run.
    changes_at: the times at which the changes of the scenario begin.
    rows_until: the time of the last row of a CSV trace, for each direction that has one.
    """

    moments: tuple[Moment, ...] = ()
    on_first_packet: bool = False
    changes_at: tuple[float, ...] = ()
    rows_until: tuple[tuple[str, float], ...] = ()

    def opening(self, duplex: Duplex) -> Duplex:
        """Return the first spec of each direction that lets packets pass, or that of `duplex`."""
        return Duplex(
            up=_first_that_lets_pass([duplex.up, *(each.up for each in self.moments)], self),
            down=_first_that_lets_pass([duplex.down, *(each.down for each in self.moments)], self),
        )

    @property
    def at_once(self) -> bool:
        """True if a change at time 0 replaces the first spec, which is then never in force."""
        return bool(self.moments) and self.moments[0].time == 0


def _first_that_lets_pass(specs: Sequence[LinkSpec], schedule: Schedule) -> LinkSpec:
    in_force = specs[1:] if schedule.at_once else specs
    return next((spec for spec in in_force if spec.lets_pass), specs[0])


class TooManyMomentsError(Exception):
    """A link would change too often; the message says how often, and the limit."""


class ScheduleBuilder:
    """Collects changes of a link, in order of time for each direction, and compiles them.

    holds: intervals in which all packets wait.

    Its methods raise ValueError, beginning with the field, for a value that is not possible, and
    TooManyMomentsError before more moments are made than a link may have.
    """

    def __init__(self, duplex: Duplex, *, holds: Iterable[Interval] = ()) -> None:
        self._specs = {"up": [(-1.0, duplex.up)], "down": [(-1.0, duplex.down)]}
        self._outages: list[Interval] = []
        self._holds = list(holds)
        self._moments = 2 * len(self._holds)
        self._rows_until: dict[str, float] = {}

    @property
    def holds(self) -> bool:
        """True if there is an interval in which all packets wait."""
        return bool(self._holds)

    def set(self, direction: str, time: float, values: dict[str, Any]) -> None:
        """Change fields of one direction ('up' or 'down') from `time` on."""
        self._take(1)
        self._append(direction, time, values)

    def row(self, direction: str, time: float, values: dict[str, Any]) -> None:
        """Change fields of one direction by a row of its trace."""
        self.set(direction, time, values)
        self._rows_until[direction] = time

    def ramp(self, direction: str, time: float, over: float, values: dict[str, Any]) -> None:
        """Change fields linearly to `values` within `over` seconds, from their values at `time`.

        Raises ValueError, beginning with the field, for one that is not a number.
        """
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
        """Lose all packets from `start` to `end`."""
        self._take(2)
        self._outages.append((start, end))

    def hold(self, start: float, end: float) -> None:
        """Let all packets wait from `start` to `end`."""
        self._take(2)
        self._holds.append((start, end))

    def compile(
        self, *, on_first_packet: bool = False, changes_at: Iterable[float] = ()
    ) -> Schedule:
        """Return the schedule of all changes that were added."""
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
        """Add to the count of moments. Raises TooManyMomentsError above the limit."""
        self._moments += moments
        if self._moments > MOST_MOMENTS:
            raise TooManyMomentsError(
                f"it changes at {self._moments:,} moments; at most {MOST_MOMENTS:,} are allowed, "
                f"and a ramp has {1 / RAMP_STEP:.0f} a second"
            )


def _in_force(specs: list[tuple[float, LinkSpec]], time: float) -> LinkSpec:
    return specs[bisect_right(specs, time, key=itemgetter(0)) - 1][1]


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union of intervals, as disjoint intervals in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _within(intervals: list[Interval], time: float) -> bool:
    """Return True if a time lies in one of several disjoint intervals in order."""
    index = bisect_right(intervals, time, key=itemgetter(0)) - 1
    return index >= 0 and time < intervals[index][1]
