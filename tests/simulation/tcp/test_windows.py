"""The congestion window: slow start, validation, idle restart, CUBIC, Reno, HyStart."""

import pytest

from testbed.simulation.tcp.congestion_controls.cubic import Cubic
from testbed.simulation.tcp.congestion_controls.hystart import HyStart
from testbed.simulation.tcp.congestion_controls.reno import Reno
from testbed.simulation.tcp.congestion_window import UNLIMITED, CongestionWindow
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rtt import RttEstimator
from tests.simulation.tcp.wires import MSS, RTT, connected, losing, write

TICK = KernelTimer(0.004)


def limited(segments, threshold=UNLIMITED):
    """Return a window that limits its sender."""
    window = CongestionWindow(segments)
    window.threshold = threshold
    validate(window, 0.0, limited=True, out=segments)
    return window


def validate(window, now, *, limited, out):
    window.validate(
        now, 0.2, limited=limited, out=out, acknowledged=1, next_sequence=1, may_shrink=True
    )


def control(kind, window):
    return kind(window, RttEstimator(0.2), TICK, MSS)


def test_slow_start_doubles_each_round_trip():
    exchange = connected()
    began = exchange.now
    write(exchange, 70 * MSS)
    exchange.run(began + 4 * RTT)
    rounds = [round((t - began) / RTT) for t, _ in exchange.data("up", began)]
    assert [rounds.count(each) for each in range(3)] == [10, 20, 40]
    assert exchange.total("up") == 70 * MSS


def test_a_window_that_is_not_used_does_not_grow():
    exchange = connected()
    for _ in range(20):
        write(exchange, 3 * MSS)
        exchange.run(exchange.now + 1.5 * RTT)
    assert exchange.client.sender.window.segments == 10


def test_slow_start_grows_while_more_than_half_is_used():
    exchange = connected()
    write(exchange, 6 * MSS)
    exchange.run(exchange.now + 2 * RTT)
    assert exchange.client.sender.window.segments == 12


def test_a_window_that_is_never_filled_shrinks():
    window = CongestionWindow(10)
    window.set(0.0, 100)
    validate(window, 0.1, limited=False, out=30)
    assert window.segments == 100
    validate(window, 0.3, limited=False, out=20)
    assert window.segments == 65  # halfway to the 30 that were used
    assert window.threshold == UNLIMITED


@pytest.mark.parametrize(
    ("idle", "segments"), [(0.1, 80), (0.3, 40), (0.5, 20), (0.7, 10), (5.0, 10)]
)
def test_idle_times_halve_the_window_once_per_time_out(idle, segments):
    window = CongestionWindow(10)
    window.set(0.0, 80)
    window.threshold = 40
    if idle > 0.2:
        window.restart(idle, idle, 0.2)
        assert window.threshold == 60
    assert window.segments == segments


@pytest.mark.parametrize(("restarts", "first"), [(True, 10), (False, 40)])
def test_an_end_restarts_after_idle_times(restarts, first):
    exchange = connected(slow_start_after_idle=restarts)
    write(exchange, 70 * MSS)
    exchange.run(3.0)
    assert exchange.client.sender.window.segments == 80
    write(exchange, 40 * MSS)
    assert len(exchange.data("up", 3.0)) == first


def test_reno_halves_and_then_adds_one_segment_per_window():
    window = limited(40)
    reno = control(Reno, window)
    assert reno.reduced() == 20
    window = limited(20, 20)
    reno = control(Reno, window)
    for _ in range(20):
        reno.grow(0.0, 1)
    assert window.segments == 21


def test_cubic_keeps_717_of_1024_and_converges_fast():
    window = limited(100)
    cubic = control(Cubic, window)
    assert cubic.reduced() == 70
    window.segments = 80  # below the last maximum: the next plateau is lower still
    assert cubic.reduced() == 56
    window.segments = window.threshold = 56
    cubic.grow(1.0, 1)
    assert cubic._origin == 80 * (1024 + 717) // 2048


def test_cubic_reaches_its_plateau_after_the_cube_root():
    window = limited(200)
    cubic = control(Cubic, window)
    window.threshold = window.segments = cubic.reduced()
    now, grown = 0.0, []
    while now < 6.0:
        now += 0.1
        cubic.grow(now, window.segments)
        grown.append(window.segments)
    plateau = (60 / 0.4) ** (1 / 3)  # 5.3 s
    assert abs(grown[int(plateau * 10)] - 200) <= 2
    assert grown[0] < 145
    assert grown[26] == pytest.approx(200 - 0.4 * (plateau - 2.6) ** 3, abs=5)


def test_cubic_grows_at_least_as_reno_would():
    window = limited(10)
    cubic = control(Cubic, window)
    window.threshold = window.segments = cubic.reduced()
    assert window.segments == 7
    for number in range(1, 41):  # round trips of 10 ms: the cube alone gives nothing
        cubic.grow(number * 0.01, window.segments)
    assert 12 <= window.segments <= 30


def test_an_idle_time_does_not_count_for_the_cube():
    window = limited(100)
    cubic = control(Cubic, window)
    window.threshold = window.segments = cubic.reduced()
    cubic.grow(1.0, 1)
    cubic.begin_flight(11.0, 1.5)
    assert cubic._epoch == pytest.approx(10.5)


def watch(window, rtts, gap):
    hystart = HyStart()
    for number, rtt in enumerate(rtts):
        hystart.watch(
            1.0 + number * gap, rtt, 0.04, window, rate=1e9, acknowledged=1, next_sequence=10**6
        )
    return hystart.found


def test_hystart_ends_slow_start_when_round_trips_rise():
    window = limited(40)
    assert not watch(window, [0.044] * 12, 0.01)
    assert window.threshold == UNLIMITED
    assert watch(window, [0.0451] * 12, 0.01)
    assert window.threshold == 40


def test_hystart_ends_slow_start_after_a_long_train():
    assert not watch(limited(40), [0.04] * 11, 0.0019)
    assert watch(limited(40), [0.04] * 13, 0.0019)
    assert not watch(limited(15), [0.04] * 13, 0.0019)


@pytest.mark.parametrize(("name", "kept"), [("cubic", 717), ("reno", 512)])
def test_a_loss_reduces_the_window(name, kept):
    exchange = connected(losing(1 + 45 * MSS), congestion_control=name)
    write(exchange, 200 * MSS)
    exchange.run(5.0)
    sender = exchange.client.sender
    assert sender._reduction._before > 40
    assert sender.window.threshold == sender._reduction._before * kept // 1024
    assert exchange.total("up") == 200 * MSS
