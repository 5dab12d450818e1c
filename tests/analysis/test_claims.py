"""Claims of tables: corrected for their number, and none from a single run."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.claims import claimed, claims, p_of_fastest
from testbed.analysis.intervals import Interval, speed_ratio
from tests.support.records import row


def test_holms_procedure_stops_at_the_first_that_is_too_large():
    # .005 × 4 and .01 × 3 are within .05, .03 × 2 is not, and so .04 × 1 does not count.
    assert claimed([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert claimed([0.04]) == [True]
    assert claimed([0.04, 0.04]) == [False, False]
    assert claimed([0.02, None, 0.04]) == [True, False, True]
    assert claimed([]) == []


def test_words_of_claims():
    sure = {"n": 6, "repeats": 3, "low": 0.1, "high": 9.0}
    assert claims(
        [
            Interval(2.0, p=0.001, **sure),
            Interval(0.5, p=0.002, **sure),
            Interval(2.0, p=0.6, **sure),
            Interval(2.0, 2, 1, 1.9, 2.1),
            Interval(2.0, 1, 1),
            None,
        ]
    ) == ["faster", "slower", "neither", "this run only", "", ""]


def runs(method: str, effects, *, devices: int = 1, prompts: int = 1):
    """Return rows of a method that is faster by effects[r] in repetition r."""
    return [
        row(method, repeat=repeat, prompt=prompt, device=f"device{device}",
            seconds=1 / (effect * (1 + prompt / 10)))
        for repeat, effect in enumerate(effects)
        for prompt in range(prompts)
        for device in range(devices)
    ]  # fmt: skip


def test_one_repetition_claims_nothing_however_many_devices_and_prompts_it_has():
    fast, slow = (runs("dssd", [speed], devices=16, prompts=6) for speed in (9.0, 1.0))
    ratio = speed_ratio(fast, slow)
    assert (ratio.estimate, ratio.p) == (pytest.approx(9), None)
    assert claims([ratio]) == ["this run only"]
    assert p_of_fastest(fast, [slow]) is None


def test_the_fastest_must_be_faster_than_each_of_the_others():
    fast, slow = runs("dssd", [5.0, 5.1, 4.9]), runs("dsd", [1.0, 1.1, 0.9])
    near, once = runs("qs", [4.9, 5.1, 4.8]), runs("qs", [1.0])
    against = [speed_ratio(fast, each).p for each in (slow, near)]
    assert against[0] < 0.01
    assert against[1] > 0.1
    assert p_of_fastest(fast, [slow, near]) == against[1]
    assert p_of_fastest(fast, [slow]) == against[0]
    assert p_of_fastest(slow, [fast]) == 1
    assert p_of_fastest(fast, [slow, once]) is None  # one pair, so one repetition
    assert p_of_fastest(fast, []) is None


def test_tables_of_methods_that_are_alike_rarely_claim_anything():
    """With the auditor's spreads: 20 % from run to run and 3 % from device to device."""
    random = np.random.default_rng(1)
    false = 0
    for _ in range(100):
        speeds = np.exp(random.normal(0, 0.2, (11, 3, 1)) + random.normal(0, 0.03, (11, 3, 4)))
        first, *others = (
            [
                row("any", repeat=repeat, device=f"device{device}", seconds=1 / each)
                for (repeat, device), each in np.ndenumerate(mine)
            ]
            for mine in speeds
        )
        told = claims([speed_ratio(each, first) for each in others])
        false += not {"faster", "slower"}.isdisjoint(told)
    assert false <= 10
