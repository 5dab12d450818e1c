"""Lateness of a link's scheduled changes, judged by the first packet that meets each step."""

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
# Seconds of delay that each step adds. As it only grows, no packet waits for an earlier one.
_RISE = 2e-3
_FIRST = 0.1  # seconds from the restart to the first step
_PROBE_EVERY = 1e-3


Steps = list[tuple[float, float]]
"""The scheduled time of each step (monotonic clock, seconds), and the delay from then on."""


def measure_changes(bench: LinkBench) -> tuple[list[Check], dict[str, ProbeTrain], Steps]:
    """Raise the delay in steps of 2 ms, in both directions; check how late each step is seen."""
    bench.put(lambda spec: LinkSpec(mtu=spec.mtu))
    moments = []
    for step in range(_STEPS):
        up, down = (
            LinkSpec(delay=(step + 1) * _RISE, mtu=bench.spec(direction).mtu)
            for direction in ("up", "down")
        )
        moments.append(Moment(_FIRST + step * _APART, up, down))
    bench.wire.follow(Schedule(tuple(moments)))
    bench.wire.restart(0, None)
    trains = bench.send(round((_FIRST + _STEPS * _APART) / _PROBE_EVERY), _PROBE_EVERY, SMALL)
    # The last probes are under way for longer than a link that does not change would hold them.
    time.sleep(_STEPS * _RISE)
    for path in bench.paths.values():
        path.drain()
    applied = bench.wire.applied()
    bench.wire.follow(Schedule())
    bench.wire.restart(0, None)
    checks = []
    for direction, train in trains.items():
        lateness = _lateness(train, [each.scheduled for each in applied])
        checks.append(
            bench.judge(
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
            bench.judge(
                direction,
                "changes, losses",
                "packets",
                measured=float(train.lost.sum()),
                requested=0.0,
                high=0.0,
                note=f"of {len(train.sent)} under {len(applied)} changes",
            )
        )
    return (
        checks,
        trains,
        [(each.scheduled, (step + 1) * _RISE) for step, each in enumerate(applied)],
    )


def _lateness(train: ProbeTrain, scheduled: list[float]) -> list[float]:
    """Return the lateness of each step in seconds: when the first packet that met it was sent."""
    sent, delays = np.asarray(train.sent)[train.numbers], train.delays
    late = []
    for step, due in enumerate(scheduled):
        met = sent[delays >= (step + 0.5) * _RISE]
        if len(met):
            late.append(max(0.0, float(met.min()) - due))
    return late
