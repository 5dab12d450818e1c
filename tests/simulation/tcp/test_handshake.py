"""The handshake, the size of frames, and lost SYNs."""

import pytest

from testbed.config.written import FieldError
from testbed.simulation.tcp.settings import CONGESTION_CONTROLS, TcpSettings
from tests.simulation.tcp.wires import DELAY, MSS, RTT, Exchange, connected, write


def test_three_segments_and_a_round_trip():
    exchange = connected()
    assert [(t, s.syn, s.frame_size) for t, s in exchange.sent["up"]] == [
        (0.0, True, 74),
        (RTT, False, 66),
    ]
    assert [(t, s.syn) for t, s in exchange.sent["down"]] == [(DELAY, True)]
    assert exchange.client.sender.rtt.smoothed == pytest.approx(RTT)
    assert exchange.server.sender.rtt.smoothed == pytest.approx(RTT)


def test_data_written_before_follows_the_handshake():
    exchange = Exchange()
    write(exchange, 100)
    write(exchange, 5, exchange.server)
    exchange.run(0.2)
    assert exchange.delivered["up"] == [(RTT + DELAY, 100)]
    assert exchange.delivered["down"] == [(RTT + RTT, 5)]


def test_a_full_segment_is_a_full_frame():
    exchange = connected()
    write(exchange, MSS + 1)
    assert MSS == 1448
    assert [s.frame_size for _, s in exchange.data("up")] == [1514, 67]
    assert [s.push for _, s in exchange.data("up")] == [False, True]


def test_a_smaller_mtu_makes_smaller_segments():
    exchange = connected(mtu=576)
    write(exchange, 1000)
    assert [s.length for _, s in exchange.data("up")] == [524, 476]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_lost_syn_is_sent_again_after_a_second(direction):
    exchange = Exchange(lambda way, number, _: [] if (way, number) == (direction, 0) else [DELAY])
    exchange.run(2.0)
    syns = [t for t, s in exchange.sent[direction] if s.syn]
    assert 2 <= len(syns) <= 3  # the other end's SYN may be sent again as well
    assert 1.0 <= syns[1] - syns[0] <= 1.3
    assert exchange.client.established
    assert exchange.server.established
    assert exchange.client.sender.window.segments == 10


def test_three_syns_leave_a_window_of_one_segment():
    exchange = Exchange(lambda way, number, _: [] if way == "up" and number < 2 else [DELAY])
    exchange.run(4.0)
    assert exchange.client.sender.window.segments == 1


def test_a_lost_last_acknowledgement_is_made_good_by_data():
    exchange = Exchange(lambda way, number, _: [] if (way, number) == ("up", 1) else [DELAY])
    exchange.run(0.1)
    assert not exchange.server.established
    write(exchange, 10)
    exchange.run(0.2)
    assert exchange.server.established
    assert exchange.total("up") == 10


def test_other_congestion_controls_are_refused():
    assert CONGESTION_CONTROLS == ("cubic", "reno")
    with pytest.raises(FieldError) as caught:
        TcpSettings(congestion_control="bbr")
    assert str(caught.value) == (
        "congestion_control: 'bbr' is not modelled in virtual time; choose from cubic, reno"
    )
