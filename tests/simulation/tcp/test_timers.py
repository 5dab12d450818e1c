"""Round-trip estimates and the kernel's timers."""

import pytest

from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rtt import RttEstimator


def test_the_time_out_is_never_less_than_200_ms_above_the_round_trip():
    rtt = RttEstimator(0.2)
    assert rtt.rto == 1.0
    for number in range(50):
        rtt.sample(0.02, number + 1, number + 2)
    assert rtt.smoothed == pytest.approx(0.02)
    assert rtt.rto == pytest.approx(0.22)


def test_the_first_sample_gives_half_as_deviation():
    rtt = RttEstimator(0.2)
    rtt.sample(0.3, 1, 2)
    assert rtt.rto == pytest.approx(0.3 + 0.6)


def test_a_longer_round_trip_counts_by_an_eighth():
    rtt = RttEstimator(0.2)
    rtt.sample(0.1, 1, 2)
    rtt.sample(0.9, 2, 3)
    assert rtt.smoothed == pytest.approx(0.2)
    assert rtt.rto == pytest.approx(0.2 + 0.2 + 0.8 - 0.05)


def test_back_off_doubles_up_to_two_minutes():
    rtt = RttEstimator(0.2)
    rtt.sample(0.1, 1, 2)
    for _ in range(20):
        rtt.back_off()
    assert rtt.rto == 120.0
    rtt.sample(0.1, 2, 3)
    assert rtt.rto < 1


def test_the_shortest_round_trip_is_that_of_five_minutes():
    rtt = RttEstimator(0.2)
    for now, value in ((0.0, 0.02), (10.0, 0.05), (20.0, 0.04), (299.0, 0.06)):
        rtt.sample_minimum(now, value)
        assert rtt.minimum == 0.02
    rtt.sample_minimum(301.0, 0.07)
    assert rtt.minimum == 0.04


@pytest.mark.parametrize(
    ("now", "seconds", "expires"),
    [
        (1.0, 0.04, 1.044),
        (1.003, 0.04, 1.044),
        (1.004, 0.04, 1.048),
        (1.0, 0.0405, 1.048),
        (1.0, 0.248, 1.252),
        (1.0, 0.252, 1.28),  # from 63 ticks on, every 8th tick
        (1.0, 3.0, 4.096),  # from 504 ticks on, every 64th
    ],
)
def test_timers_expire_with_a_tick(now, seconds, expires):
    assert KernelTimer(0.004).expiry(now, seconds) == pytest.approx(expires)
