"""The send buffer, with figures that `ss -tmi` has shown on Linux 6.18, and the receive window."""

import pytest

from testbed.simulation.tcp.receive_window import ReceiveWindow
from testbed.simulation.tcp.send_buffer import OVERHEAD
from testbed.simulation.tcp.settings import TcpSettings
from tests.simulation.tcp.wires import DELAY, MSS, RTT, connected, write


def used(exchange):
    """Return the bytes of segments under way and of what waits, and the memory of both."""
    buffer = exchange.client.sender._buffer
    return buffer.unsent, buffer.memory + buffer.unsent + OVERHEAD * bool(buffer.unsent)


def test_the_first_window_and_one_more_buffer_fit():
    exchange = connected()
    write(exchange, 250_000)
    assert len(exchange.data("up")) == 10
    assert used(exchange) == (31856, 51328)
    assert exchange.client.sender._buffer.waiting == 250_000 - 10 * MSS - 31856


def test_the_buffer_grows_with_the_window_while_the_application_waits():
    exchange = connected(slow_start_after_idle=False)
    write(exchange, 60_000)
    exchange.run(1.0)
    assert exchange.total("up") == 60_000
    limit = exchange.client.sender._buffer._limit
    assert limit == 16 * 4608  # the application went on to write when the window was of 16
    assert exchange.client.sender.window.segments > 42
    write(exchange, 60_000)
    # Pairs of segments fill it, though the window would let all of them go.
    assert len(exchange.data("up", 1.0)) < 42
    assert used(exchange)[1] >= limit
    exchange.run(1.0 + RTT + DELAY + 0.001)
    assert exchange.total("up") == 120_000


def test_small_messages_never_wait():
    exchange = connected()
    for _ in range(20):
        write(exchange, 2000)
        assert exchange.client.sender._buffer.waiting == 0
        exchange.run(exchange.now + 0.1)


def test_the_window_is_rounded_up_to_its_scale():
    window = ReceiveWindow(TcpSettings())
    assert window.size(0) == 64256  # 44 segments of 1460 B, in units of 128 B
    wider = ReceiveWindow(TcpSettings(largest_receive_buffer=2**25))
    assert wider.size(0) == 64512  # in units of 1 KiB


def test_the_window_grows_by_two_segments_for_each_received():
    window = ReceiveWindow(TcpSettings())
    for _ in range(3):
        window.received(MSS)
    assert window.size(0) == pytest.approx(64240 + 3 * 2920, abs=128)
    for _ in range(100):
        window.received(MSS)
    assert window.size(0) == pytest.approx(131072 * 157 / 256, abs=128)
    assert window.size(10_000) == pytest.approx(131072 * 157 / 256 - 10_000, abs=128)


def test_the_buffer_grows_when_more_is_read_in_a_round_trip():
    window = ReceiveWindow(TcpSettings())
    window.open(0.0)
    window.echoed(0.04, 1)
    window.read(0.01, 40_000)
    for _ in range(100):
        window.received(MSS)
    assert window.size(0) < 82_000
    window.read(0.05, 60_000)
    for _ in range(200):
        window.received(MSS)
    assert window.size(0) > 300_000
