"""How sure figures are: intervals over texts, and methods compared text by text.

What varies between texts is their prompts, so prompts are drawn anew, each with all its
repetitions; with a single prompt, its repetitions are. Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993, ch. 13 (percentile intervals); Davison and Hinkley, 1997, ch. 3.8 (clusters).

A few cannot stand for all that might have been drawn: of two, all draws lie between the one and the
other, and so does the true value only every other time. Intervals from few are Student's, of the
logarithm, in which each unit counts by what it changes (Cochran, "Sampling Techniques", 1977,
ch. 6.4).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from testbed.traces.summary import Row

LEVEL = 0.95
"""How often an interval holds the true value."""
_DRAWS = 2000
_FEW = 30
"""As many units are drawn from, fewer are not."""
_SEED = 0  # the same rows give the same interval
_Unit = Callable[[Row], Hashable]


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what the true value is at this level; both None from one text."""

    estimate: float
    low: float | None = None
    high: float | None = None

    @property
    def differs(self) -> bool:
        """For a ratio: whether it is surely not 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def speed(rows: Sequence[Row]) -> Interval:
    """Tokens/s of one method: all tokens over all seconds."""
    unit = _unit(rows)
    return _interval(_sums(rows, unit, list(dict.fromkeys(map(unit, rows)))))


def speed_ratio(rows: Sequence[Row], others: Sequence[Row]) -> Interval | None:
    """Tokens/s of one method over those of another, on the texts that both have.

    None when there are none.
    """
    shared = {_text(row) for row in rows} & {_text(row) for row in others}
    mine, theirs = ([row for row in some if _text(row) in shared] for some in (rows, others))
    if not shared:
        return None
    unit = _unit(mine)
    units = list(dict.fromkeys(map(unit, mine)))
    return _interval(np.concatenate([_sums(mine, unit, units), _sums(theirs, unit, units)[::-1]]))


def effect_size(rows: Sequence[Row], others: Sequence[Row]) -> float | None:
    """Cohen's d of paired differences: of log(tokens/s over the others'), mean over deviation.

    Positive where `rows` are faster; None where fewer than two texts are shared or all ratios are
    the same. Cohen, "Statistical Power Analysis", 1988, ch. 2 (d_z).
    """
    theirs = {_text(row): row.tokens / row.seconds for row in others}
    logs = [
        math.log(row.tokens / row.seconds / theirs[_text(row)])
        for row in rows
        if _text(row) in theirs
    ]
    if len(logs) < 2 or not (deviation := statistics.stdev(logs)):
        return None
    return statistics.mean(logs) / deviation


def _text(row: Row) -> tuple[Hashable, ...]:
    return (str(row.point), row.repeat, row.prompt, row.device)


def _unit(rows: Iterable[Row]) -> _Unit:
    """What is drawn anew."""
    one_prompt = len({row.prompt for row in rows}) == 1
    return (lambda row: (row.repeat, row.device)) if one_prompt else (lambda row: row.prompt)


def _sums(rows: Sequence[Row], unit: _Unit, units: Sequence[Hashable]) -> NDArray[np.float64]:
    """Tokens and seconds of each unit, [2, units]."""
    place = {each: index for index, each in enumerate(units)}
    sums = np.zeros((2, len(units)))
    for row in rows:
        sums[:, place[unit(row)]] += row.tokens, row.seconds
    return sums


def _interval(sums: NDArray[np.float64]) -> Interval:
    """Of Σ a / Σ b, or Σ a / Σ b · Σ c / Σ d; `sums`, [2 or 4, units]."""

    def ratio(*each: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        totals = [values.sum(axis=axis) for values in each]
        quotient: NDArray[np.float64] = totals[0] / totals[1]
        return quotient if len(totals) == 2 else quotient * totals[2] / totals[3]

    estimate = float(ratio(*sums))
    units = sums.shape[1]
    if units < 2:
        return Interval(estimate)
    if units < _FEW:
        changes = np.resize([1.0, -1.0], len(sums)) @ (sums / sums.mean(axis=1, keepdims=True))
        error = float(stdtrit(units - 1, (1 + LEVEL) / 2) * changes.std(ddof=1)) / math.sqrt(units)
        return Interval(estimate, estimate * math.exp(-error), estimate * math.exp(error))
    from scipy import stats  # noqa: PLC0415  half a second, and few runs have so many texts

    found = stats.bootstrap(
        tuple(sums), ratio, paired=True, vectorized=True, n_resamples=_DRAWS,
        confidence_level=LEVEL, method="percentile", rng=np.random.default_rng(_SEED),
    ).confidence_interval  # fmt: skip
    return Interval(estimate, float(found.low), float(found.high))
