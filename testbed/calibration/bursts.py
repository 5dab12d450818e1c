"""Duration of small bursts: every byte, from the first on, must take its time at the link's rate.

A token bucket lets the first packets through at once, which would hide what a codec saves.
"""

from __future__ import annotations

import statistics
import time

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, PATIENCE, ProbePath, drain_until, drain_until_all
from testbed.calibration.result import BURSTS
from testbed.links.spec import LinkSpec, default_queue
from testbed.results.link_check import Check, burst_tolerance

_REPEATS = 15
_BUDGET = 6.0  # seconds for the repeats of one size
_FEWEST = 3
_PAUSE = 0.01  # seconds between bursts, to let the link empty


def only_rate(spec: LinkSpec) -> LinkSpec:
    """Return a spec with the link's rate alone, and a queue that is long enough to measure it."""
    return LinkSpec(rate=spec.rate, queue=default_queue(spec.mean_rate), mtu=spec.mtu)


def measure_bursts(bench: LinkBench) -> list[Check]:
    """Compare the median duration of bursts, first send to last arrival, with bytes × 8 / rate."""
    checks = []
    bench.put(only_rate)
    for direction in DIRECTIONS:
        rate, payload = bench.spec(direction).rate, bench.payload(direction)
        for size in BURSTS:
            name = f"burst of {size}"
            if not isinstance(rate, float | int):
                why = "the rate is not limited" if rate is None else "it follows a trace"
                checks.append(bench.not_measured(direction, name, "s", why))
                continue
            ideal = size * (payload + HEADERS) * 8 / rate
            margin = burst_tolerance(ideal)
            repeats = max(_FEWEST, min(_REPEATS, int(_BUDGET / (ideal + _PAUSE))))
            taken = burst_times(
                bench.paths[direction], size, payload, 2 * ideal, wanted=repeats, most=repeats
            )
            checks.append(
                bench.judge(
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
    """Return the seconds from first send to last arrival of bursts of `size` packets.

    longest: the expected upper limit of one burst, in seconds. wanted: the number of bursts that
    must arrive whole; most: the number that are sent at most to get them.
    """
    taken: list[float] = []
    for _ in range(most):
        if len(taken) == wanted:
            break
        train = path.begin()
        for _ in range(size):
            path.send(payload)
        deadline = time.monotonic() + longest + PATIENCE
        drain_until_all([path], [train], size, deadline)
        if len(train.numbers) == size:
            taken.append(train.times[-1] - train.sent[0])
        drain_until([path], time.monotonic() + _PAUSE)
    return taken
