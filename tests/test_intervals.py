"""Intervals that hold the true value as often as they say, and paired ones that are narrower."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from testbed.intervals import LEVEL, effect_size, speed, speed_ratio


def row(prompt: int, seconds: float, *, repeat: int = 0, tokens: int = 10) -> Any:
    return SimpleNamespace(
        point={}, repeat=repeat, prompt=prompt, device="device", tokens=tokens, seconds=seconds
    )


def test_a_single_text_has_no_interval():
    only = speed([row(0, 2.0)])
    assert (only.estimate, only.low, only.high) == (5.0, None, None)
    assert not only.differs


def test_estimates_are_ratios_of_sums():
    rows, others = [row(0, 1.0), row(1, 4.0)], [row(0, 2.0), row(1, 8.0)]
    assert speed(rows).estimate == pytest.approx(20 / 5)
    ratio = speed_ratio(rows, others)
    assert ratio.estimate == pytest.approx(2)
    assert (ratio.low, ratio.high) == (pytest.approx(2), pytest.approx(2))
    assert ratio.differs
    assert not speed_ratio(rows, rows).differs


def test_only_texts_that_both_have_are_compared():
    rows, others = [row(0, 1.0), row(1, 100.0)], [row(0, 2.0), row(2, 0.01)]
    assert speed_ratio(rows, others).estimate == pytest.approx(2)
    assert speed_ratio(rows[1:], others[1:]) is None


def test_prompts_are_drawn_with_all_their_repetitions():
    """Repetitions of a prompt tell nothing of other prompts: ten times the same is no surer."""
    seconds = [1.0, 2.0, 5.0, 9.0]
    once = speed([row(p, s) for p, s in enumerate(seconds)])
    often = speed([row(p, s, repeat=r) for p, s in enumerate(seconds) for r in range(10)])
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    alone = speed([row(0, s, repeat=r) for r, s in enumerate(seconds)])
    assert (alone.low, alone.high) == (pytest.approx(once.low), pytest.approx(once.high))


@pytest.mark.parametrize("prompts", [2, 3, 6, 12, 29, 30, 60])
def test_intervals_hold_the_true_value_as_often_as_they_say(prompts):
    """Of prompts whose seconds follow a gamma law of mean 2: 5 tokens/s."""
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        found = speed([row(p, s) for p, s in enumerate(random.gamma(4, 0.5, prompts))])
        inside += found.low <= 5 <= found.high
    assert abs(inside / 200 - LEVEL) < 0.05


@pytest.mark.parametrize("prompts", [2, 5, 29, 40])
def test_methods_that_are_alike_are_rarely_told_apart(prompts):
    random = np.random.default_rng(1)
    told = 0
    for _ in range(200):
        mine, theirs = (
            [row(p, s) for p, s in enumerate(each)] for each in random.gamma(8, 0.25, (2, prompts))
        )
        told += speed_ratio(mine, theirs).differs
    assert abs(told / 200 - (1 - LEVEL)) < 0.05


def test_prompts_that_are_slow_for_both_do_not_blur_the_ratio():
    random = np.random.default_rng(1)
    hard = random.gamma(2, 1, 30)
    rows = [row(p, s * random.normal(1, 0.02)) for p, s in enumerate(hard)]
    others = [row(p, 1.1 * s * random.normal(1, 0.02)) for p, s in enumerate(hard)]
    paired, alone = speed_ratio(rows, others), speed(rows)
    assert paired.differs
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low) / alone.estimate


def test_the_effect_is_the_mean_difference_in_deviations():
    mine = [row(prompt, seconds) for prompt, seconds in enumerate((1.0, 2.0, 4.0))]
    theirs = [row(prompt, 4.0) for prompt in range(3)]
    # log 4, log 2, log 1: mean log 2, deviation log 2
    assert effect_size(mine, theirs) == pytest.approx(1)
    assert effect_size(theirs, mine) == pytest.approx(-1)
    assert effect_size(mine[:1], theirs) is None
    assert effect_size(theirs, theirs) is None
    assert effect_size(mine, [row(7, 1.0)]) is None
