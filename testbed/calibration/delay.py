"""One-way delay and the distribution of its jitter, from packets that do not queue."""

from __future__ import annotations

import math

import numpy as np

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import SMALL, Floats, ProbeTrain
from testbed.calibration.statistics import shape_distance
from testbed.links.jitter import UNIFORM, Jitter, as_jitter
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check, tolerance

PROBES = 1000
SHAPE_PROBES = 2000
SHAPE_LIMIT = 0.05
"""Kolmogorov-Smirnov distance; by chance exceeded once in 10,000 with SHAPE_PROBES probes."""

_APART = 2e-3  # seconds between probes of a link without jitter
_SPREADS = 5  # between probes, for a distribution with a tail: 1 % meet the one before
_BLURRED = 5  # a jitter is measured if its range is at least this many times the noise's
_QUANTILES = (np.arange(20_000) + 0.5) / 20_000


def only_delay(spec: LinkSpec) -> LinkSpec:
    """Return a spec with the link's delay and jitter alone."""
    return LinkSpec(delay=spec.delay, jitter=spec.jitter, mtu=spec.mtu)


def measure_noise(bench: LinkBench) -> tuple[list[Check], dict[str, float]]:
    """Check a link without impairments; return the p5 to p95 range of each delay, too."""
    bench.put(lambda spec: LinkSpec(mtu=spec.mtu))
    trains = bench.send(PROBES // 2, _APART, SMALL)
    checks, ranges = [], {}
    for direction, train in trains.items():
        delays = train.delays
        low, median, high, p99 = np.percentile(delays, (5, 50, 95, 99))
        ranges[direction] = float(high - low)
        checks.append(
            bench.judge(
                direction,
                "noise floor",
                "s",
                measured=float(median),
                requested=0.0,
                high=tolerance(0),
                note=f"p99 {p99 * 1e3:.2f} ms",
            )
        )
    return checks, ranges


def measure_delay(
    bench: LinkBench, noise: dict[str, float]
) -> tuple[list[Check], dict[str, ProbeTrain]]:
    """Check the median delay and the distribution of the jitter; return the trains, too."""
    bench.put(only_delay)
    jitters = [as_jitter(bench.spec(direction).jitter) for direction in DIRECTIONS]
    count = PROBES if all(jitter.none for jitter in jitters) else SHAPE_PROBES
    count = round(count * max(_waste(jitter) for jitter in jitters))
    apart = max(_apart(bench.spec(direction)) for direction in DIRECTIONS)
    trains = bench.send(count, apart, SMALL)
    checks = []
    for direction, train in trains.items():
        checks.append(_median(bench, direction, train))
        if not as_jitter(bench.spec(direction).jitter).none:
            checks.append(_shape(bench, direction, train, noise[direction]))
    return checks, trains


def delay_quantiles(spec: LinkSpec) -> Floats:
    """Return evenly spaced quantiles of the time that a link holds a packet, in seconds."""
    jitter = as_jitter(spec.jitter)
    return np.array([jitter.hold(spec.delay, float(u)) for u in _QUANTILES])


def _median(bench: LinkBench, direction: str, train: ProbeTrain) -> Check:
    spec = bench.spec(direction)
    jitter = as_jitter(spec.jitter)
    requested = jitter.hold(spec.delay, 0.5)
    # Chance moves the median of a sample by two standard errors in 5 % of cases.
    step = 1.0 / math.sqrt(len(train.numbers) / _waste(jitter))
    chance = (jitter.hold(spec.delay, 0.5 + step) - jitter.hold(spec.delay, 0.5 - step)) / 2
    margin = tolerance(requested) + chance
    measured = float(np.median(train.delays))
    return bench.judge(
        direction,
        "delay, median",
        "s",
        measured=measured,
        requested=requested,
        low=requested - margin,
        high=requested + margin,
        note=f"{len(train.numbers)} probes",
    )


def _shape(bench: LinkBench, direction: str, train: ProbeTrain, noise: float) -> Check:
    spec = bench.spec(direction)
    jitter = as_jitter(spec.jitter)
    name = "jitter, KS"
    quantiles = delay_quantiles(spec)
    spread = float(quantiles[-1000] - quantiles[1000])
    if spread < _BLURRED * noise:
        note = f"its range, {spread * 1e3:.2f} ms, is under {_BLURRED} times the noise"
        return bench.not_measured(direction, name, "distance", note)
    return bench.judge(
        direction,
        name,
        "distance",
        measured=shape_distance(train.delays, quantiles),
        high=SHAPE_LIMIT,
        note=f"{'measured' if jitter.measured else jitter.law}, {len(train.numbers)} probes",
    )


def _apart(spec: LinkSpec) -> float:
    jitter = as_jitter(spec.jitter)
    if jitter.measured is not None:
        return max(_APART, spec.longest_hold - spec.shortest_hold)
    spreads = 2 if jitter.law == UNIFORM else _SPREADS
    return max(_APART, spreads * jitter.spread)


def _waste(jitter: Jitter) -> float:
    """Return the number of correlated probes that carry as much information as one independent."""
    return (1 + jitter.correlation) / (1 - jitter.correlation)
