"""Statistical tests of measured losses and delays against the requested distributions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from testbed.links.gilbert_elliott import GilbertElliott

_FEWEST = 5.0  # expected counts of a bin of a χ² test


def loss_interval(lost: int, sent: int, chain: GilbertElliott) -> tuple[float, float]:
    """Return the 95 % Wilson interval of the share of packets lost.

    Losses in bursts carry less information than as many independent ones. The effective sample size
    is sent / (1 + 2cρ/(1 - ρ)), where ρ = 1 - p - r is the correlation of successive states, and c
    the states' share of the losses' variance (1 when each state loses all packets or none).
    """
    effective = sent / _inflation(chain)
    interval = stats.binomtest(round(lost * effective / sent), max(1, round(effective)))
    low, high = interval.proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def run_length_distribution(chain: GilbertElliott, longest: int) -> NDArray[np.float64]:
    """Return P(a run of losses is n packets long) for n = 1 to `longest`, then P(longer).

    Exact, by the chain's forward recursion; geometric(r) when each state loses all packets or none.
    """
    move = np.array([[1 - chain.p, chain.p], [chain.r, 1 - chain.r]])  # from good, from bad
    loses = np.array([chain.good_loss, chain.bad_loss])
    stationary = np.array([chain.r, chain.p]) / (chain.p + chain.r)
    first = ((stationary * (1 - loses)) @ move) * loses  # arrived, then lost: a run begins
    weights = first / first.sum()
    probabilities = np.empty(longest + 1)
    for n in range(longest):
        moved = weights @ move
        probabilities[n] = (moved * (1 - loses)).sum()
        weights = moved * loses
    probabilities[longest] = weights.sum()
    return probabilities


def run_lengths(lost: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of runs of lost packets, except runs cut off by the start or end."""
    padded = np.concatenate(([False], lost, [False])).astype(np.int8)
    starts = np.flatnonzero(np.diff(padded) == 1)
    ends = np.flatnonzero(np.diff(padded) == -1)
    whole = (starts > 0) & (ends < len(lost))
    return (ends - starts)[whole]


def run_length_p(lengths: NDArray[np.int64], chain: GilbertElliott) -> float | None:
    """Return the p-value of a χ² test of run lengths against the chain; None for too few runs.

    Lengths are pooled from the longest down until each bin expects at least five runs.
    """
    if len(lengths) == 0:
        return None
    probabilities = run_length_distribution(chain, int(lengths.max()))
    counts = np.bincount(lengths, minlength=len(probabilities) + 1)[1:]
    observed, expected = _pool(counts.astype(float), probabilities * len(lengths))
    if len(observed) < 2:
        return None
    return float(stats.chisquare(observed, expected).pvalue)


def shape_distance(sample: NDArray[np.float64], quantiles: NDArray[np.float64]) -> float:
    """Return the Kolmogorov-Smirnov distance of a sample from evenly spaced quantiles.

    Both are shifted to median 0 first, so that only the shapes are compared.
    """
    a, b = sample - np.median(sample), quantiles - np.median(quantiles)
    return float(stats.ks_2samp(a, b, method="asymp").statistic)


def _inflation(chain: GilbertElliott) -> float:
    bad = chain.p / (chain.p + chain.r)
    variance = chain.mean * (1 - chain.mean)
    if variance == 0:
        return 1.0
    states = bad * (1 - bad) * (chain.bad_loss - chain.good_loss) ** 2 / variance
    correlation = 1 - chain.p - chain.r
    return max(1.0, 1 + 2 * states * correlation / (1 - correlation))


def _pool(
    observed: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Join bins from the last one on until each expects at least _FEWEST."""
    bins: list[tuple[float, float]] = []
    seen = wanted = 0.0
    for count, mean in zip(observed[::-1], expected[::-1], strict=True):
        seen, wanted = seen + count, wanted + mean
        if wanted >= _FEWEST:
            bins.append((seen, wanted))
            seen = wanted = 0.0
    if bins and wanted > 0:
        last = bins.pop()
        bins.append((last[0] + seen, last[1] + wanted))
    total = math.fsum(count for count, _ in bins)
    scale = total / math.fsum(mean for _, mean in bins) if bins else 1.0
    return [count for count, _ in bins], [mean * scale for _, mean in bins]
