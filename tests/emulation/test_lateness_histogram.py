import pytest

from testbed.emulation.lateness import LatenessHistogram


def test_quantiles_are_upper_bin_edges_and_the_maximum_is_exact():
    histogram = LatenessHistogram()
    for n in range(1000):
        histogram.add((n + 0.5) * 1e-5)
    assert histogram.summary() == pytest.approx({"p50": 5e-3, "p99": 9.9e-3, "max": 9.995e-3})


def test_very_late_packets_show_in_the_maximum():
    histogram = LatenessHistogram()
    histogram.add(3.0)
    assert histogram.summary()["max"] == 3.0


def test_nothing_recorded():
    assert LatenessHistogram().summary() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
