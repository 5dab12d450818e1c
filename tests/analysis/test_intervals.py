"""Confidence intervals of tokens/s: estimates, and the effect of repetitions, prompts, devices."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from testbed.analysis.intervals import speed, speed_ratio
from tests.support.records import row


def rows(seconds, *, devices: int = 1, method: str = "dsd"):
    """Return a row for each device of each of [repetitions, prompts]."""
    return [
        row(method, repeat=repeat, prompt=prompt, device=f"device{device}", seconds=each)
        for (repeat, prompt), each in np.ndenumerate(np.array(seconds))
        for device in range(devices)
    ]


def test_estimates_are_geometric_means_over_generations():
    assert speed(rows([[1.0, 4.0]])).estimate == pytest.approx(10 / 2)
    ratio = speed_ratio(rows([[1.0, 4.0]]), rows([[2.0, 2.0]]))
    assert ratio.estimate == pytest.approx(1)
    # A cell counts as often as it has devices.
    uneven = rows([[1.0]], devices=3) + rows([[1.0, 16.0]])[1:]
    assert speed(uneven).estimate == pytest.approx(10 / 2)


def test_devices_of_one_run_are_no_runs_of_their_own():
    together = rows([[1.0]], devices=16)
    for place, each in enumerate(together):
        each.seconds += place / 100
    only = speed(together)
    assert (only.low, only.high, only.repeats, only.n) == (None, None, 1, 16)
    assert not only.this_run_only
    assert speed_ratio(together, rows([[2.0]], devices=16)).low is None


def test_devices_of_several_runs_add_no_units():
    seconds = [[1.0], [2.0], [4.0]]
    once, often = (speed(rows(seconds, devices=devices)) for devices in (1, 16))
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    # Student's t with 2 degrees of freedom times the error of a mean of log 1, 2, 4.
    factor = math.exp(4.302653 * math.log(2) / math.sqrt(3))
    assert (once.low, once.high) == (pytest.approx(5 / factor), pytest.approx(5 * factor))


def test_one_repetition_has_an_interval_over_prompts_of_this_run_only():
    once = speed_ratio(rows([[1.0, 2.0, 4.0]]), rows([[10.0, 10.0, 10.0]]))
    factor = math.exp(4.302653 * math.log(2) / math.sqrt(3))
    assert (once.low, once.high) == (pytest.approx(5 / factor), pytest.approx(5 * factor))
    assert once.this_run_only
    assert once.p is None


def test_prompts_of_a_run_do_not_stand_for_other_runs():
    """Sixty prompts narrow the interval of one run, but not the spread between two runs."""
    wide = speed(rows([[1.0] * 60, [2.0] * 60]))
    assert wide.high / wide.low == pytest.approx(2**12.70620, rel=1e-4)
    assert (wide.repeats, wide.n) == (2, 120)
    assert not wide.this_run_only


def test_generations_are_paired_and_others_left_out():
    mine, theirs = rows([[1.0, 3.0], [2.0, 7.0]]), rows([[2.0, 6.0], [4.0, 14.0]])
    ratio = speed_ratio(mine, theirs)
    assert [ratio.estimate, ratio.low, ratio.high] == pytest.approx([2, 2, 2])
    assert ratio.p == pytest.approx(0)
    fewer = speed_ratio(mine[:3], theirs[1:])
    assert fewer.estimate == pytest.approx(2)
    assert fewer.repeats == 2
    assert (ratio.n, fewer.n, speed(mine).n) == (4, 2, 4)
    assert speed_ratio(mine[:1], theirs[1:]) is None
    elsewhere = [msgspec.structs.replace(each, device="other") for each in theirs]
    assert speed_ratio(mine, elsewhere) is None
    assert speed_ratio(mine, mine).p == 1


def test_prompts_that_are_slow_for_both_do_not_blur_the_ratio():
    random = np.random.default_rng(1)
    hard = random.gamma(2, 1, 30)
    mine, theirs = (random.normal(each, 0.02, (3, 30)) * hard for each in (1.0, 1.1))
    paired, alone = speed_ratio(rows(mine), rows(theirs)), speed(rows(mine))
    assert paired.p < 0.01
    assert paired.high / paired.low < 1.1
    assert alone.high / alone.low > 1.3


def test_two_repetitions_far_apart_have_bounds_that_are_numbers():
    apart = speed(rows([[1e-6], [1e9]]))
    assert 0 < apart.low < apart.high < math.inf
