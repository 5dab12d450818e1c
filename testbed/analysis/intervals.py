"""Confidence intervals of tokens/s: geometric means over generations, with 95 % bounds.

The random factors are the repetition (its generations share links, queues and host) and the prompt
(testbed.analysis.crossed_variance). Devices are not a factor: those of one run are not independent.
With a single repetition the interval is over prompts and holds for this run only; since it is not
known how much other runs differ, no difference between methods is claimed then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from testbed.analysis.crossed_variance import half_width, mean_of, p_value, parts_of
from testbed.results.rows import Row

LEVEL = 0.95
"""The least probability with which an interval covers the true value."""


@dataclass(frozen=True)
class Interval:
    """An estimate, and the bounds of the true value at LEVEL.

    The true value is the mean over all repetitions and prompts that might have been drawn. With a
    single prompt it is over repetitions alone, with a single repetition over prompts alone.
    """

    estimate: float
    n: int
    """Number of generations, or of pairs of them."""
    repeats: int
    """Number of repetitions."""
    low: float | None = None
    """The lower bound; None, like `high`, with one repetition of one prompt."""
    high: float | None = None
    p: float | None = None
    """The probability of a ratio at least this far from 1 if both methods are equally fast.

    None for a speed, and with a single repetition."""

    @property
    def this_run_only(self) -> bool:
        """True if the interval is of a single repetition."""
        return self.low is not None and self.repeats == 1


def speed(rows: Sequence[Row]) -> Interval:
    """Return tokens/s of one method at one point: the geometric mean over its generations."""
    return _interval([(row, _log_speed(row)) for row in rows])


def speed_ratio(rows: Sequence[Row], others: Sequence[Row]) -> Interval | None:
    """Return the ratio of two methods' tokens/s, on the generations that both have.

    It is the geometric mean over pairs of generations with the same repetition, prompt and device,
    all at one point of the sweep. None without a pair.
    """
    theirs = {_generation(row): _log_speed(row) for row in others}
    logs = [
        (row, _log_speed(row) - theirs[key]) for row in rows if (key := _generation(row)) in theirs
    ]
    return _interval(logs, ratio=True) if logs else None


def _log_speed(row: Row) -> float:
    return math.log(row.tokens / row.seconds)


def _generation(row: Row) -> tuple[int, int, str]:
    return row.repeat, row.prompt, row.device


def _interval(logs: Sequence[tuple[Row, float]], *, ratio: bool = False) -> Interval:
    """Return the exponential of the mean of the rows' logarithms, with its bounds."""
    repeats = _indices(row.repeat for row, _ in logs)
    prompts = _indices(row.prompt for row, _ in logs)
    counts, sums = np.zeros((2, len(repeats), len(prompts)))
    for row, value in logs:
        cell = repeats[row.repeat], prompts[row.prompt]
        counts[cell] += 1
        sums[cell] += value
    values = sums / np.maximum(counts, 1)
    mean, parts = float(mean_of(values, counts)), parts_of(values, counts)
    estimate = math.exp(mean)
    if not parts:
        return Interval(estimate, len(logs), len(repeats))
    error = float(half_width(parts, LEVEL))
    return Interval(
        estimate, len(logs), len(repeats), _exp(mean - error), _exp(mean + error),
        p_value(mean, parts) if ratio and len(repeats) > 1 else None,
    )  # fmt: skip


def _indices(keys: Iterable[int]) -> dict[int, int]:
    return {key: index for index, key in enumerate(dict.fromkeys(keys))}


def _exp(value: float) -> float:
    """Return e to the value, clipped: bounds from two repetitions can be beyond all floats."""
    return float(np.exp(np.clip(value, -700, 700)))
