"""Acknowledgements: quick, every second segment, delayed, piggybacked, and SACK blocks."""

import pytest

from testbed.simulation.tcp.acknowledger import Acknowledger
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.receiver import Receiver
from testbed.simulation.tcp.rtt import RttEstimator
from testbed.simulation.tcp.segment import Segment
from testbed.simulation.tcp.settings import TcpSettings
from tests.simulation.tcp.wires import DELAY, MSS, connected, write

TICK = KernelTimer(0.004)


def settled(**settings):
    """Return an exchange whose server has used up its quick acknowledgements."""
    exchange = connected(**settings)
    for _ in range(10):
        write(exchange, 4 * MSS)
        exchange.run(exchange.now + 0.1)
    return exchange


def test_the_first_segments_are_acknowledged_one_by_one():
    exchange = connected()
    began = exchange.now
    write(exchange, 6 * MSS)
    exchange.run(began + 0.1)
    assert [t for t, _ in exchange.pure("down", began)] == [pytest.approx(began + DELAY)] * 6


def test_later_every_second_full_segment():
    exchange = settled()
    began = exchange.now
    write(exchange, 6 * MSS)
    exchange.run(began + 0.1)
    assert len(exchange.pure("down", began)) == 3


def test_a_request_and_its_answer_carry_each_others_acknowledgements():
    exchange = connected()
    for _ in range(5):
        write(exchange, 100)
        exchange.run(exchange.now + DELAY + 1e-9)
        write(exchange, 20, exchange.server)
        exchange.run(exchange.now + DELAY + 1e-9)
    assert len(exchange.pure("down")) <= 1  # the first request, before ping-pong mode
    assert len(exchange.pure("up", 0.1)) <= 1


def test_an_answer_that_nothing_follows_is_acknowledged_after_40_ms():
    exchange = connected()
    for _ in range(3):
        write(exchange, 100)
        exchange.run(exchange.now + DELAY + 1e-9)
        write(exchange, 20, exchange.server)
        exchange.run(exchange.now + DELAY + 1e-9)
    answered = exchange.delivered["down"][-1][0]
    exchange.run(answered + 0.5)
    ((t, _),) = exchange.pure("up", answered - 1e-9)
    assert 0.04 <= t - answered <= 0.044


def test_small_segments_of_one_way_traffic_are_acknowledged_when_read():
    exchange = connected()
    for _ in range(40):
        write(exchange, 100)
        exchange.run(exchange.now + 0.01)
    exchange.run(exchange.now + 0.1)
    assert len(exchange.pure("down", 0.1)) == 40


def acknowledger(rtt=0.0):
    estimator = RttEstimator(0.2)
    if rtt:
        estimator.sample(rtt, 1, 1)
    return Acknowledger(1460, TICK, estimator)


def test_the_first_delay_is_40_ms():
    owing = acknowledger()
    owing.received(1.0, MSS, 65535, push=False)
    owing.quick = 0
    assert not owing.wants(1.0, MSS, 1, gap=False, with_gaps=False)
    assert owing.due_at == pytest.approx(1.044)  # 40 ms, rounded up to the next tick


def test_the_delay_follows_the_gaps_between_segments():
    owing = acknowledger(0.3)
    for number in range(12):
        owing.received(1.0 + number * 0.036, MSS, 65535, push=False)
    owing.quick = 0
    now = 1.0 + 12 * 0.036
    owing.wants(now, MSS, 1, gap=False, with_gaps=False)
    assert owing.due_at - now == pytest.approx(0.072, abs=0.008)


def test_ping_pong_mode_ends_when_a_delayed_acknowledgement_was_not_piggybacked():
    owing = acknowledger()
    owing.open(1.0)
    owing.received(1.0, 100, 65535, push=True)
    owing.sent_data(1.01)
    owing.sent()
    owing.received(1.02, 100, 65535, push=True)
    assert not owing.wants_after_reading(100)
    owing.expired()
    owing.sent()
    owing.received(1.1, 100, 65535, push=True)
    assert owing.wants_after_reading(100)


def receiver():
    settings = TcpSettings()
    made = Receiver(settings, TICK, RttEstimator(settings.rto_min))
    made.next = 1
    return made


def take(taking, first, last):
    return taking.take(1.0, Segment(first, last - first, 1, 65535, (), timestamp=1, echo=1))


def test_sack_blocks_name_the_latest_range_first_and_three_at_most():
    taking = receiver()
    for first in (11, 31, 51, 71):
        take(taking, first, first + 10)
    assert taking.acknowledge()[1] == ((71, 81), (51, 61), (31, 41))
    take(taking, 41, 51)
    assert taking.acknowledge()[1] == ((31, 61), (71, 81), (11, 21))
    assert take(taking, 1, 11)
    assert taking.next == 21
    assert taking.acknowledge()[1] == ((31, 61), (71, 81))


def test_a_duplicate_is_reported_once():
    taking = receiver()
    assert take(taking, 1, 11)
    assert not take(taking, 1, 11)
    assert taking.acknowledge()[1] == ((1, 11),)
    assert taking.acknowledge()[1] == ()


def test_a_duplicate_behind_a_gap_comes_before_its_range():
    taking = receiver()
    take(taking, 11, 21)
    take(taking, 21, 31)
    take(taking, 11, 21)
    assert taking.acknowledge()[1] == ((11, 21), (11, 31))


def test_a_gap_that_is_filled_is_acknowledged_at_once():
    taking = receiver()
    take(taking, 11, 21)
    taking.acknowledge()
    taking.acknowledger.quick = 0
    take(taking, 1, 11)
    assert taking.acknowledger.now


def test_the_advertised_window_grows_with_what_is_read():
    exchange = connected()
    first = exchange.sent["down"][-1][1].window
    assert 64_000 <= first <= 66_560
    write(exchange, 1_000_000)
    exchange.run(3.0)
    assert exchange.total("up") == 1_000_000
    assert exchange.pure("down")[-1][1].window > 150_000
