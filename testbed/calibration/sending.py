"""The probes of a link before a run: their number, their times, and how long they are awaited.

All three follow from the link's spec. So if no probe arrives, the link is dead, and a pause in a
delivery trace is not mistaken for that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from testbed import clock
from testbed.calibration.arrival_bounds import ArrivalBounds, arrival_bounds, best_start
from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, SMALL, ProbeTrain
from testbed.host.realtime import sleep_until
from testbed.links.gilbert_elliott import as_chain
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.spec import LinkSpec

LONGEST = 3.0
"""Seconds to spend at most on probes, or bursts, beyond those that are needed."""

_FEWEST, _MOST = 25, 200  # probes
_EVERY = 5e-3  # seconds; longer on a link so slow that probes would queue behind each other
_FALSE_ALARM = 1e-6  # chance that a live link loses every probe
_AHEAD = 0.05  # seconds from the start of a trace to its first probe


class SentProbes(NamedTuple):
    """The train of one direction, and its arrival bounds if the direction follows a trace."""

    train: ProbeTrain
    bounds: ArrivalBounds | None


def send_probes(bench: LinkBench, needed: Mapping[str, int | None]) -> dict[str, SentProbes]:
    """Probe each direction for which `needed` has a number, as `probes_needed` returns it.

    Directions with a trace are probed one after the other, each in a part of its trace that has
    deliveries; the others at the same time.
    """
    directions = [direction for direction in DIRECTIONS if needed[direction] is not None]
    traced = [
        direction
        for direction in directions
        if isinstance(bench.spec(direction).rate, DeliveryTrace)
    ]
    plain = [direction for direction in directions if direction not in traced]
    probes = {direction: _follow(bench, direction, needed[direction] or 1) for direction in traced}
    if plain:
        gap = max(probe_gap(bench.spec(direction)) for direction in plain)
        count = max(needed[direction] or 1 for direction in plain)
        count = max(count, min(_FEWEST, int(LONGEST / gap)))
        # The gap is added because sending a packet takes up to half of it.
        hold = max(bench.spec(direction).longest_hold for direction in plain) + gap
        trains = bench.send(
            count,
            gap,
            SMALL,
            directions=plain,
            awaited=lambda train: train.sent[-1] + hold,
            all_suffice=True,
        )
        probes |= {direction: SentProbes(train, None) for direction, train in trains.items()}
    return {direction: probes[direction] for direction in directions}


def _follow(bench: LinkBench, direction: str, needed: int) -> SentProbes:
    """Probe a direction in a part of its trace that has deliveries.

    It waits until the needed probes should have arrived; a pause of the trace may hold the others.
    """
    spec, size = bench.spec(direction), SMALL + HEADERS
    assert isinstance(spec.rate, DeliveryTrace)
    count = max(_FEWEST, needed)
    begin = best_start(spec.rate, count, _EVERY, size)
    if begin.takes > LONGEST:
        count = needed
        begin = best_start(spec.rate, count, _EVERY, size)
    start = time.monotonic() + _AHEAD
    began = start - begin.time
    bench.wire.begin_traces(clock.emulated(began))
    sleep_until(start)

    def awaited(train: ProbeTrain) -> float:
        due = arrival_bounds(spec, train.sent[:needed], size, began=began).latest[-1]
        return max(train.sent[-1], float(due))

    trains = bench.send(
        count, _EVERY, SMALL, directions=[direction], awaited=awaited, all_suffice=True
    )
    return SentProbes(
        trains[direction], arrival_bounds(spec, trains[direction].sent, size, began=began)
    )


def probes_needed(spec: LinkSpec) -> int | None:
    """Return how many probes show, if all of them are lost, that a link is dead.

    Returns None for a recorded loss trace, and if more than _MOST probes would be needed.
    """
    if isinstance(spec.loss, LossTrace):
        return None
    chain = as_chain(spec.loss)
    bad, good = 1.0, 0.0  # P(all lost so far, and the chain is in this state)
    for count in range(1, _MOST + 1):
        bad_lost = bad * (1 - (1 - chain.bad_loss) * spec.intact)
        good_lost = good * (1 - (1 - chain.good_loss) * spec.intact)
        bad = bad_lost * (1 - chain.r) + good_lost * chain.p
        good = bad_lost * chain.r + good_lost * (1 - chain.p)
        if bad + good <= _FALSE_ALARM * (1 + 1e-9):
            return count
    return None


def probe_gap(spec: LinkSpec) -> float:
    """Return the seconds between probes: at least twice the time that the link takes for one."""
    if not isinstance(spec.rate, float | int):
        return _EVERY
    return max(_EVERY, 2 * (SMALL + HEADERS) * 8 / spec.rate)
