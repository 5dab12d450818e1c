"""Are changes on time? Judged by the packets: the first one that met each step."""

from __future__ import annotations

import time

import numpy as np

from testbed.calibration.link_bench import LinkBench
from testbed.calibration.probes import SMALL, ProbeTrain
from testbed.links.schedule import Moment, Schedule
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

LATE = 10e-3
"""Seconds: the most that 99 % of changes may be late."""

_STEPS = 100
_APART = 25e-3  # seconds between steps
_RISE = (
    2e-3  # seconds of delay that each step adds: a packet of the next never waits for one before
)
_FIRST = 0.1  # seconds from the beginning to the first step
_PROBE_EVERY = 1e-3


Steps = list[tuple[float, float]]
"""When each step should have come (monotonic clock, seconds), and the delay from then on."""


def measure_changes(stage: LinkBench) -> tuple[list[Check], dict[str, ProbeTrain], Steps]:
    """Steps of 2 ms each, both ways; how long after its time each is first seen."""
    stage.put(lambda spec: LinkSpec(mtu=spec.mtu))
    moments = []
    for step in range(_STEPS):
        up, down = (
            LinkSpec(delay=(step + 1) * _RISE, mtu=stage.spec(direction).mtu)
            for direction in ("up", "down")
        )
        moments.append(Moment(_FIRST + step * _APART, up, down))
    stage.wire.follow(Schedule(tuple(moments)))
    stage.wire.restart(0, None)
    flights = stage.send(round((_FIRST + _STEPS * _APART) / _PROBE_EVERY), _PROBE_EVERY, SMALL)
    # The last probes are under way for longer than a link that does not change would hold them.
    time.sleep(_STEPS * _RISE)
    for path in stage.paths.values():
        path.drain()
    applied = stage.wire.applied()
    stage.wire.follow(Schedule())
    stage.wire.restart(0, None)
    checks = []
    for direction, flight in flights.items():
        lateness = _lateness(flight, [each.scheduled for each in applied])
        checks.append(
            stage.judge(
                direction,
                "changes, late p99",
                "s",
                measured=float(np.percentile(lateness, 99)) if lateness else float("inf"),
                requested=0.0,
                high=LATE,
                note=f"{len(lateness)} of {_STEPS} steps seen, {_PROBE_EVERY * 1e3:g} ms a probe",
            )
        )
        checks.append(
            stage.judge(
                direction,
                "changes, losses",
                "packets",
                measured=float(flight.lost.sum()),
                requested=0.0,
                high=0.0,
                note=f"of {len(flight.sent)} under {len(applied)} changes",
            )
        )
    return (
        checks,
        flights,
        [(each.scheduled, (step + 1) * _RISE) for step, each in enumerate(applied)],
    )


def _lateness(flight: ProbeTrain, scheduled: list[float]) -> list[float]:
    """For each step that a packet met, how long after its time that packet was sent, seconds."""
    sent, delays = np.asarray(flight.sent)[flight.numbers], flight.delays
    late = []
    for step, due in enumerate(scheduled):
        met = sent[delays >= (step + 0.5) * _RISE]
        if len(met):
            late.append(max(0.0, float(met.min()) - due))
    return late
