"""Errors of a mean over two crossed factors, which are repetitions and prompts here.

A value is mean + repetition + prompt + rest, each drawn anew but for the mean. A repetition is the
same for all its prompts and the reverse, so that neither may be counted as if all values were drawn
on their own ("The Language-as-Fixed-Effect Fallacy", H. Clark, 1973). With M the mean squares of
the analysis of variance, the mean of all R P values has the variance (M_R + M_P - M_rest) / (R P).

M_R has R - 1 degrees of freedom and M_P has P - 1, often one or two, and Satterthwaite's rule for
their sum then claims too much: its 95 % are 87, and its 99.5 % are 93. Here each part is multiplied
by the square of its own Student's t and these are added, which for independent parts never claims
too much at any level (Banerjee, Biometrika 47, 1960). That this holds with the rest taken out, with
gaps and for skewed laws is measured, not proven: scripts/bench/interval_coverage.py. What it costs
is width: where both factors matter and there are few of each, its 95 % are up to 99.

A repetition that has lost most of its generations hardly counts, nor does it as one more: of 30, 30
and 2 generations M_R has 1.02 degrees of freedom. With 2 the interval's 95 % would be 87.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
_HALVINGS = 60


class Part(NamedTuple):
    """A part of the mean's variance as it is estimated, and that estimate's degrees of freedom."""

    variance: Floats
    freedom: float


def mean_of(values: Floats, counts: Floats) -> Floats:
    """Mean over [..., repetitions, prompts], each cell counting `counts` times; see `parts_of`."""
    mean: Floats = (values * counts).sum(axis=(-2, -1)) / counts.sum()
    return mean


def parts_of(values: Floats, counts: Floats) -> list[Part]:
    """The parts of the variance of `mean_of`; none from a single repetition and prompt.

    `values`, [..., repetitions, prompts], are means of `counts`, [repetitions, prompts], values
    each; where that is 0 there is none, and 0 stands in its place. Each repetition and prompt has
    one. From one repetition the variance is over prompts, and the reverse.
    """
    shares = counts / counts.sum()
    apart = shares * (values - mean_of(values, counts)[..., None, None])
    repeats, prompts = counts.shape
    over_repeats = _between(shares.sum(axis=1), apart.sum(axis=-1))
    over_prompts = _between(shares.sum(axis=0), apart.sum(axis=-2))
    if repeats == 1 or prompts == 1:
        return [part for part in (over_repeats, over_prompts) if part.freedom]
    # Both hold the rest. It is taken out once, of what is known better.
    fewer, more = sorted((over_repeats, over_prompts), key=lambda part: part.freedom)
    rest = _rest(values, counts) * (shares**2).sum()
    return [fewer, Part(np.maximum(more.variance - rest, 0.0), more.freedom)]


def half_width(parts: Sequence[Part], level: float) -> Floats:
    """Half of the interval that holds the true mean this often."""
    return _half_width(parts, (1 - level) / 2)


def p_value(distance: float, parts: Sequence[Part]) -> float:
    """The p at which the interval of level 1 - p ends `distance` from the mean."""
    if not distance:
        return 1.0
    if len(parts) == 1:
        ((variance, freedom),) = parts
        return 2 * float(stdtr(freedom, -abs(distance) / math.sqrt(variance))) if variance else 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = _half_width(parts, middle / 2) > abs(distance)
        low, high = (middle, high) if beyond else (low, middle)
    return high


def _half_width(parts: Sequence[Part], tail: float) -> Floats:
    """With this chance to be beyond each end."""
    squares = [part.variance * stdtrit(part.freedom, tail) ** 2 for part in parts]
    width: Floats = np.sqrt(np.sum(squares, axis=0))
    return width


def _between(shares: Floats, apart: Floats) -> Part:
    """Variance of a sum of shares of independent levels, by how far each share is from the mean's.

    Σ (s_i (y_i - Σ s y))², made larger by what the mean has taken out of it: R / (R - 1) for equal
    shares, and without bias for others. As y'By it is about χ² with (tr B)² / tr B² degrees of
    freedom (Satterthwaite): R - 1 for equal shares, fewer for others; none for a single level.
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
    """Mean square of what repetition and prompt do not explain; 0 where none is left over.

    By least squares, each cell counting once: prompts are eliminated, repetitions solved for.
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
