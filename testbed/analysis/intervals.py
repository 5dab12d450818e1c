"""How sure tokens/s are: geometric means over generations, and between what they lie.

The unit is what a repetition of a method shares (links, queues, host) and what a prompt does, never
a device: those of one run are no runs of their own. See testbed.analysis.crossed_variance. From one
repetition an interval is over prompts and of this run only: other runs may be faster or slower, by
nobody knows how much, so that nothing is claimed from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from testbed.analysis.crossed_variance import half_width, mean_of, p_value, parts_of
from testbed.results.rows import Row

LEVEL = 0.95
"""How often an interval holds the true value, or more often."""


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what the true value is at LEVEL.

    The true value is that of all repetitions and prompts that might have been drawn: with a single
    prompt, of all repetitions of it; with a single repetition, of all prompts in it.
    """

    estimate: float
    n: int
    """Generations, or pairs of them, that it is of."""
    repeats: int
    low: float | None = None
    """None, as `high`, with one repetition of one prompt."""
    high: float | None = None
    p: float | None = None
    """Of a ratio over several repetitions: how likely one as far from 1 is where there is none."""

    @property
    def this_run_only(self) -> bool:
        """Return True if the interval is of a single repetition."""
        return self.low is not None and self.repeats == 1


def speed(rows: Sequence[Row]) -> Interval:
    """Tokens/s of one method at one point: the geometric mean over its generations."""
    return _interval([(row, _log_speed(row)) for row in rows])


def speed_ratio(rows: Sequence[Row], others: Sequence[Row]) -> Interval | None:
    """Tokens/s of one method over those of another, on the generations that both have.

    The geometric mean over pairs of the same repetition, prompt and device, all at one point. None
    without a pair.
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
    """Of the logarithm at each row, whose exponential is what is shown."""
    repeats = _places(row.repeat for row, _ in logs)
    prompts = _places(row.prompt for row, _ in logs)
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


def _places(keys: Iterable[int]) -> dict[int, int]:
    return {key: place for place, key in enumerate(dict.fromkeys(keys))}


def _exp(value: float) -> float:
    """Without an error where it is beyond all numbers, as a bound from two repetitions may be."""
    return float(np.exp(np.clip(value, -700, 700)))
