"""The probes of a link before a run: how many, when, and until when they are awaited.

All by what the link was asked to do, so that silence is conclusive and no pause of a trace is one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from testbed import clock
from testbed.calibration.course import Course, course, where_to_begin
from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, SMALL, ProbeTrain
from testbed.host.realtime import sleep_until
from testbed.links.gilbert_elliott import as_chain
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.spec import LinkSpec

LONGEST = 3.0
"""Seconds that are spent on more probes, or more bursts, than are needed."""

_FEWEST, _MOST = 25, 200  # probes
_EVERY = 5e-3  # seconds; longer on a link so slow that probes would queue behind each other
_FALSE_ALARM = 1e-6  # chance that a live link loses every probe
_AHEAD = 0.05  # seconds before the first probe that a trace begins


class Probe(NamedTuple):
    """A flight of one direction, and the course that it should take, where it follows a trace."""

    flight: ProbeTrain
    course: Course | None


def send_probes(stage: LinkBench, needed: Mapping[str, int | None]) -> dict[str, Probe]:
    """Probe each direction of which silence would prove something, see `probes_needed`.

    All at the same time, but for those that follow a trace, each from where its trace is lively.
    """
    directions = [direction for direction in DIRECTIONS if needed[direction] is not None]
    traced = [
        direction
        for direction in directions
        if isinstance(stage.spec(direction).rate, DeliveryTrace)
    ]
    plain = [direction for direction in directions if direction not in traced]
    probes = {direction: _follow(stage, direction, needed[direction] or 1) for direction in traced}
    if plain:
        gap = max(probe_gap(stage.spec(direction)) for direction in plain)
        count = max(needed[direction] or 1 for direction in plain)
        count = max(count, min(_FEWEST, int(LONGEST / gap)))
        # Sending takes no longer than half a gap.
        hold = max(stage.spec(direction).longest_hold for direction in plain) + gap
        flights = stage.send(
            count,
            gap,
            SMALL,
            directions=plain,
            awaited=lambda flight: flight.sent[-1] + hold,
            all_suffice=True,
        )
        probes |= {direction: Probe(flight, None) for direction, flight in flights.items()}
    return {direction: probes[direction] for direction in directions}


def _follow(stage: LinkBench, direction: str, needed: int) -> Probe:
    """Probe a direction from where its trace is lively.

    Waits until as many as are needed should have arrived: the trace may pause before the others.
    """
    spec, size = stage.spec(direction), SMALL + HEADERS
    assert isinstance(spec.rate, DeliveryTrace)
    count = max(_FEWEST, needed)
    begin = where_to_begin(spec.rate, count, _EVERY, size)
    if begin.takes > LONGEST:
        count = needed
        begin = where_to_begin(spec.rate, count, _EVERY, size)
    start = time.monotonic() + _AHEAD
    began = start - begin.time
    stage.wire.begin_traces(clock.emulated(began))
    sleep_until(start)

    def awaited(flight: ProbeTrain) -> float:
        due = course(spec, flight.sent[:needed], size, began=began).latest[-1]
        return max(flight.sent[-1], float(due))

    flights = stage.send(
        count, _EVERY, SMALL, directions=[direction], awaited=awaited, all_suffice=True
    )
    return Probe(flights[direction], course(spec, flights[direction].sent, size, began=began))


def probes_needed(spec: LinkSpec) -> int | None:
    """The number of packets that make silence conclusive; None if more than is sensible."""
    if isinstance(spec.loss, LossTrace):
        return None
    chain = as_chain(spec.loss)
    bad, good = 1.0, 0.0  # the chances that all are lost so far and the state is this one
    for count in range(1, _MOST + 1):
        bad_lost = bad * (1 - (1 - chain.bad_loss) * spec.intact)
        good_lost = good * (1 - (1 - chain.good_loss) * spec.intact)
        bad = bad_lost * (1 - chain.r) + good_lost * chain.p
        good = bad_lost * chain.r + good_lost * (1 - chain.p)
        if bad + good <= _FALSE_ALARM * (1 + 1e-9):
            return count
    return None


def probe_gap(spec: LinkSpec) -> float:
    """Seconds between probes: twice what one takes to be sent, at least."""
    if not isinstance(spec.rate, float | int):
        return _EVERY
    return max(_EVERY, 2 * (SMALL + HEADERS) * 8 / spec.rate)
