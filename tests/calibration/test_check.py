"""The checks of a calibration as lines, and second measurements of failed checks."""

import pytest

from testbed.calibration import link_bench
from testbed.calibration.link_bench import retry_failed_checks
from testbed.calibration.probes import ProbeTrain
from testbed.results.link_check import format_limits, format_value, judge, not_measured


def line(measured, **bounds):
    return judge("radio", "up", "x", "s", measured=measured, **bounds)


def test_the_bounds_belong_to_what_will_do():
    assert [line(x, low=1.0, high=2.0).outcome for x in (0.9, 1.0, 2.0, 2.1)] == [
        "failed", "ok", "ok", "failed",
    ]  # fmt: skip
    assert line(-5.0, high=0.0).outcome == "ok"
    assert line(float("nan"), low=1.0).outcome == "failed"


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (line(1.0), "–"),
        (line(1.0, high=0.002), "≤ 2.00 ms"),
        (line(1.0, low=0.002), "≥ 2.00 ms"),
        (line(1.0, requested=0.02, low=0.019, high=0.021), "± 1.00 ms"),
        (line(1.0, requested=0.02, low=0.018, high=0.021), "18.00 ms to 21.00 ms"),
        (not_measured("radio", "up", "x", "s", "no rate"), "–"),
    ],
)
def test_limits_for_people(check, text):
    assert format_limits(check) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "–"),
        (0.0123, "s", "12.30 ms"),
        (5e6, "bit/s", "5.00 Mb/s"),
        (0.0123, "share", "1.23 %"),
        (3.0, "packets", "3"),
        (0.01234, "distance", "0.0123"),
        (0.5, "p", "0.500"),
    ],
)
def test_figures_for_people(value, unit, text):
    assert format_value(value, unit) == text


@pytest.fixture
def moments(monkeypatch):
    """Replace sleep; return the list of the seconds that were asked of it."""
    waited = []
    monkeypatch.setattr(link_bench.time, "sleep", waited.append)
    return waited


def tries(*outcomes):
    """Return a measurement that returns one list of checks per call."""
    rest = [[line(x, high=1.0, note="n") for x in each] for each in outcomes]
    for each in rest:
        for number, check in enumerate(each):
            check.name = str(number)
    return lambda: rest.pop(0)


def test_what_passes_is_measured_once(moments):
    assert [check.note for check in retry_failed_checks(tries([0.5, 0.6]))] == ["n", "n"]
    assert moments == []


def test_what_fails_is_measured_again_a_moment_later_and_says_so(moments):
    first, second = retry_failed_checks(tries([0.5, 2.0], [3.0, 0.7]))
    assert moments == [1.0]
    assert (first.measured, first.note) == (0.5, "n")
    assert (second.measured, second.outcome, second.note) == (0.7, "ok", "measured twice; n")


def test_what_fails_twice_has_failed(moments):
    (check,) = retry_failed_checks(tries([2.0], [3.0]))
    assert (check.measured, check.outcome) == (3.0, "failed")


def test_a_flight_knows_what_is_missing_and_what_came_late():
    train = ProbeTrain(sent=[0.0, 1.0, 2.0, 3.0, 4.0], numbers=[0, 3, 1, 4], times=[1, 5, 6, 7])
    assert list(train.lost) == [False, False, True, False, False]
    assert list(train.delays) == [1.0, 2.0, 5.0, 3.0]
    assert train.inversions == 1
    assert ProbeTrain(sent=[0.0]).inversions == 0
