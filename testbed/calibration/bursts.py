"""Small bursts: does a packet pay for every byte, from the first on?

Token buckets let the first packets through free, which hides just the savings that codecs are for.
"""

from __future__ import annotations

import statistics
import time

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, PATIENCE, ProbePath, drain_until, drain_until_all
from testbed.links.spec import LinkSpec, default_queue
from testbed.results.link_check import Check, burst_tolerance

SIZES = (1, 6, 20)
"""Packets in a burst."""

_REPEATS = 15
_BUDGET = 6.0  # seconds for the repeats of one size
_FEWEST = 3
_PAUSE = 0.01  # seconds between bursts, so that the link is empty


def only_rate(spec: LinkSpec) -> LinkSpec:
    """A link's rate, with a queue that holds what is needed to measure it."""
    return LinkSpec(rate=spec.rate, queue=default_queue(spec.mean_rate), mtu=spec.mtu)


def measure_bursts(stage: LinkBench) -> list[Check]:
    """From the first send to the last arrival, against bytes × 8 / rate; median of some bursts."""
    checks = []
    stage.put(only_rate)
    for direction in DIRECTIONS:
        rate, payload = stage.spec(direction).rate, stage.payload(direction)
        for size in SIZES:
            name = f"burst of {size}"
            if not isinstance(rate, float | int):
                why = "the rate is not limited" if rate is None else "it follows a trace"
                checks.append(stage.not_measured(direction, name, "s", why))
                continue
            ideal = size * (payload + HEADERS) * 8 / rate
            margin = burst_tolerance(ideal)
            repeats = max(_FEWEST, min(_REPEATS, int(_BUDGET / (ideal + _PAUSE))))
            taken = burst_times(
                stage.paths[direction], size, payload, 2 * ideal, wanted=repeats, most=repeats
            )
            checks.append(
                stage.judge(
                    direction,
                    name,
                    "s",
                    measured=statistics.median(taken),
                    requested=ideal,
                    low=ideal - margin,
                    high=ideal + margin,
                    note=f"{len(taken)} bursts of {payload} B packets",
                )
            )
    return checks


def burst_times(
    path: ProbePath, size: int, payload: int, longest: float, *, wanted: int, most: int
) -> list[float]:
    """Seconds from the first send to the last arrival of bursts of `size` packets.

    longest: the seconds that one should take at most. wanted: how many that lost no packet, for
    which `most` are sent at most.
    """
    taken: list[float] = []
    for _ in range(most):
        if len(taken) == wanted:
            break
        flight = path.begin()
        for _ in range(size):
            path.send(payload)
        deadline = time.monotonic() + longest + PATIENCE
        drain_until_all([path], [flight], size, deadline)
        if len(flight.numbers) == size:
            taken.append(flight.times[-1] - flight.sent[0])
        drain_until([path], time.monotonic() + _PAUSE)
    return taken
