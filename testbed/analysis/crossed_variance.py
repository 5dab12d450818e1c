"""Errors of a mean over two crossed factors, here repetitions and prompts.

A value is mean + repetition + prompt + rest, where all but the mean are random. All prompts of a
repetition share its effect, and all repetitions of a prompt share that of the prompt, so the values
are not independent (H. Clark, "The Language-as-Fixed-Effect Fallacy", 1973). With M the mean
squares of the analysis of variance, the mean of all R P values has the variance
(M_R + M_P - M_rest) / (R P).

M_R has R - 1 degrees of freedom and M_P has P - 1, often one or two. Satterthwaite's rule for their
sum is then too narrow: its 95 % interval covers 87 %, its 99.5 % interval 93 %. Here each part is
multiplied by the square of its own Student's t, and the products are added. For independent parts
this covers at least the stated share at any level (Banerjee, Biometrika 47, 1960). That it also
holds with the rest subtracted, with missing cells and for skewed distributions is measured, not
proven: scripts/bench/interval_coverage.py. The price is width: where both factors matter and there
are few of each, the 95 % interval covers up to 99 %.

A repetition that has lost most of its generations weighs little, also in the degrees of freedom:
with 30, 30 and 2 generations M_R has 1.02 of them. With 2, the 95 % interval would cover 87 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_HALVINGS = 60


class Part(NamedTuple):
    """An estimated part of the variance of a mean, and the degrees of freedom of the estimate."""

    variance: Floats
    freedom: float


def mean_of(values: Floats, counts: Floats) -> Floats:
    """Return the mean over [..., repetitions, prompts], each cell weighted by `counts`."""
    mean: Floats = (values * counts).sum(axis=(-2, -1)) / counts.sum()
    return mean


def parts_of(values: Floats, counts: Floats) -> list[Part]:
    """Return the parts of the variance of `mean_of`; none from a single repetition and prompt.

    Each cell of `values`, [..., repetitions, prompts], is the mean of as many values as `counts`,
    [repetitions, prompts], says; a cell without any holds 0. Each repetition and each prompt has at
    least one value. With one repetition the variance is over prompts, and the reverse.
    """
    shares = counts / counts.sum()
    apart = shares * (values - mean_of(values, counts)[..., None, None])
    repeats, prompts = counts.shape
    over_repeats = _between(shares.sum(axis=1), apart.sum(axis=-1))
    over_prompts = _between(shares.sum(axis=0), apart.sum(axis=-2))
    if repeats == 1 or prompts == 1:
        return [part for part in (over_repeats, over_prompts) if part.freedom]
    # Both parts contain the rest. It is subtracted once, from the one that is known better.
    fewer, more = sorted((over_repeats, over_prompts), key=lambda part: part.freedom)
    rest = _rest(values, counts) * (shares**2).sum()
    return [fewer, Part(np.maximum(more.variance - rest, 0.0), more.freedom)]


def half_width(parts: Sequence[Part], level: float) -> Floats:
    """Return half the width of the interval that covers the true mean with probability `level`."""
    return _half_width(parts, (1 - level) / 2)


def p_value(distance: float, parts: Sequence[Part]) -> float:
    """Return the p for which the interval of level 1 - p ends `distance` from the mean."""
    if not distance:
        return 1.0
    if len(parts) == 1:
        from scipy.special import stdtr  # noqa: PLC0415  takes 0.2 s

        ((variance, freedom),) = parts
        return 2 * float(stdtr(freedom, -abs(distance) / math.sqrt(variance))) if variance else 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = _half_width(parts, middle / 2) > abs(distance)
        low, high = (middle, high) if beyond else (low, middle)
    return high


def _half_width(parts: Sequence[Part], tail: float) -> Floats:
    """Return half the width of the interval with probability `tail` beyond each end."""
    from scipy.special import stdtrit  # noqa: PLC0415  takes 0.2 s

    squares = [part.variance * stdtrit(part.freedom, tail) ** 2 for part in parts]
    width: Floats = np.sqrt(np.sum(squares, axis=0))
    return width


def _between(shares: Floats, apart: Floats) -> Part:
    """Estimate the variance of Σ s y, the mean of independent levels y with the shares s.

    `apart` has s_i (y_i - Σ s y) of each level. The sum of their squares is too small, as the mean
    was estimated from the same levels; the factor that removes the bias is R / (R - 1) for equal
    shares. As a quadratic form y'By it is about χ² with (tr B)² / tr B² degrees of freedom
    (Satterthwaite): R - 1 for equal shares, fewer for others, 0 for a single level.
    """
    if shares.size == 1:
        return Part(np.zeros(apart.shape[:-1]), 0)
    squares = (shares**2).sum()
    deviations = shares[:, None] * (np.eye(shares.size) - shares)
    form = deviations.T @ deviations
    expected = np.trace(form)
    variance: Floats = (apart**2).sum(axis=-1) * (squares / expected)
    return Part(variance, float(expected**2 / (form**2).sum()))


def _rest(values: Floats, counts: Floats) -> Floats:
    """Return the mean square of the rest; 0 where no degree of freedom is left for it.

    Least squares, each cell counting once: prompts are eliminated, repetitions solved for.
    """
    there = (counts > 0).astype(float)
    by_prompt = there.sum(axis=0)
    normal = np.diag(there.sum(axis=1)) - there / by_prompt @ there.T
    freedom = there.sum() - by_prompt.size - np.linalg.matrix_rank(normal, hermitian=True)
    known = values * there
    if freedom < 1:
        return np.zeros(values.shape[:-2])
    sums = known.sum(axis=-2) / by_prompt
    repeats = (known.sum(axis=-1) - sums @ there.T) @ np.linalg.pinv(normal, hermitian=True)
    prompts = sums - repeats @ there / by_prompt
    rest = there * (values - repeats[..., :, None] - prompts[..., None, :])
    mean_square: Floats = (rest**2).sum(axis=(-2, -1)) / freedom
    return mean_square
