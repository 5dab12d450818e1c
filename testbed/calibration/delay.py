"""One-way delay, and the shape of its jitter, from packets far enough apart to be alone."""

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
"""Kolmogorov-Smirnov distance; chance alone exceeds it once in 10,000 with SHAPE_PROBES."""

_APART = 2e-3  # seconds between probes where nothing makes them wait for each other
_SPREADS = 5  # apart, for a law with a tail: then 1 % of probes meet the one before
_BLURRED = 5  # a jitter is no more than noise unless its range is this many times the noise's
_QUANTILES = (np.arange(20_000) + 0.5) / 20_000


def only_delay(spec: LinkSpec) -> LinkSpec:
    """A link's delay and jitter, and nothing else of it."""
    return LinkSpec(delay=spec.delay, jitter=spec.jitter, mtu=spec.mtu)


def measure_noise(stage: LinkBench) -> tuple[list[Check], dict[str, float]]:
    """What the link adds when asked for nothing; and per direction the range of that, p5 to p95."""
    stage.put(lambda spec: LinkSpec(mtu=spec.mtu))
    flights = stage.send(PROBES // 2, _APART, SMALL)
    checks, ranges = [], {}
    for direction, flight in flights.items():
        delays = flight.delays
        low, median, high, p99 = np.percentile(delays, (5, 50, 95, 99))
        ranges[direction] = float(high - low)
        checks.append(
            stage.judge(
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
    stage: LinkBench, noise: dict[str, float]
) -> tuple[list[Check], dict[str, ProbeTrain]]:
    """Median of the delay, and the law of the jitter where there is one."""
    stage.put(only_delay)
    jitters = [as_jitter(stage.spec(direction).jitter) for direction in DIRECTIONS]
    count = PROBES if all(jitter.none for jitter in jitters) else SHAPE_PROBES
    count = round(count * max(_waste(jitter) for jitter in jitters))
    apart = max(_apart(stage.spec(direction)) for direction in DIRECTIONS)
    flights = stage.send(count, apart, SMALL)
    checks = []
    for direction, flight in flights.items():
        checks.append(_median(stage, direction, flight))
        if not as_jitter(stage.spec(direction).jitter).none:
            checks.append(_shape(stage, direction, flight, noise[direction]))
    return checks, flights


def law(spec: LinkSpec) -> Floats:
    """Evenly spaced quantiles of how long a link holds a packet, seconds."""
    jitter = as_jitter(spec.jitter)
    return np.array([jitter.hold(spec.delay, float(u)) for u in _QUANTILES])


def _median(stage: LinkBench, direction: str, flight: ProbeTrain) -> Check:
    spec = stage.spec(direction)
    jitter = as_jitter(spec.jitter)
    asked = jitter.hold(spec.delay, 0.5)
    # Chance moves the median of a sample by two standard errors in 5 % of cases.
    step = 1.0 / math.sqrt(len(flight.numbers) / _waste(jitter))
    chance = (jitter.hold(spec.delay, 0.5 + step) - jitter.hold(spec.delay, 0.5 - step)) / 2
    margin = tolerance(asked) + chance
    measured = float(np.median(flight.delays))
    return stage.judge(
        direction,
        "delay, median",
        "s",
        measured=measured,
        requested=asked,
        low=asked - margin,
        high=asked + margin,
        note=f"{len(flight.numbers)} probes",
    )


def _shape(stage: LinkBench, direction: str, flight: ProbeTrain, noise: float) -> Check:
    spec = stage.spec(direction)
    jitter = as_jitter(spec.jitter)
    name = "jitter, KS"
    quantiles = law(spec)
    spread = float(quantiles[-1000] - quantiles[1000])
    if spread < _BLURRED * noise:
        note = f"its range, {spread * 1e3:.2f} ms, is under {_BLURRED} times the noise"
        return stage.not_measured(direction, name, "distance", note)
    return stage.judge(
        direction,
        name,
        "distance",
        measured=shape_distance(flight.delays, quantiles),
        high=SHAPE_LIMIT,
        note=f"{'measured' if jitter.measured else jitter.law}, {len(flight.numbers)} probes",
    )


def _apart(spec: LinkSpec) -> float:
    jitter = as_jitter(spec.jitter)
    if jitter.measured is not None:
        return max(_APART, spec.longest_hold - spec.shortest_hold)
    spreads = 2 if jitter.law == UNIFORM else _SPREADS
    return max(_APART, spreads * jitter.spread)


def _waste(jitter: Jitter) -> float:
    """How many correlated probes tell as much as one that is independent."""
    return (1 + jitter.correlation) / (1 - jitter.correlation)
