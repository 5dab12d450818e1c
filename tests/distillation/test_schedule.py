from __future__ import annotations

import pytest

from testbed.distillation.schedule import RATE, WARM_UP, finishing, whole


def test_constant_then_down_to_nothing() -> None:
    plan = whole(1000)
    assert (plan.hold, plan.steps) == (800, 1000)
    rates = [plan.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(RATE / WARM_UP)
    assert set(rates[WARM_UP - 1 : 801]) == {RATE}
    assert rates[900] == pytest.approx(RATE / 2)
    assert 0 < rates[999] < 0.01 * RATE
    assert rates[800:] == sorted(rates[800:], reverse=True)


def test_finishing_falls_for_a_fifth_of_the_whole() -> None:
    plan = finishing(800)
    assert plan == whole(1000)


def test_constant_part_does_not_depend_on_the_length() -> None:
    short, long = whole(500), whole(5000)
    assert [short.rate(step) for step in range(400)] == [long.rate(step) for step in range(400)]
