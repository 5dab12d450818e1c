"""Losses: SACK recovery, RACK, tail loss probes, time-outs, and reordering without any loss."""

import pytest

from testbed.simulation.tcp.sender import State
from tests.simulation.tcp.wires import DELAY, MSS, RTT, connected, losing, write


def resent(exchange, direction="up"):
    """Return the times and first bytes of data that was sent a second time or later."""
    seen, again = set(), []
    for t, segment in exchange.data(direction):
        if segment.sequence in seen:
            again.append((t, segment.sequence))
        seen.add(segment.sequence)
    return again


def start(number):
    """Return the sequence number of the full segment `number`."""
    return 1 + number * MSS


def test_a_full_segment_and_sack_blocks_fit_into_the_mtu():
    """A spurious time-out makes both ends send a D-SACK beside full segments."""

    def fate(direction, _number, segment):
        return [0.6] if segment.length and segment.sequence < 3 * MSS else [DELAY]

    exchange = connected(fate)
    for end in (exchange.client, exchange.server):
        write(exchange, 30 * MSS, end)
    exchange.run(20)
    assert exchange.total("up") == exchange.total("down") == 30 * MSS
    with_blocks = [s for way in ("up", "down") for _, s in exchange.data(way) if s.blocks]
    assert any(s.length == MSS - 12 for s in with_blocks)


def test_one_loss_is_repaired_in_the_next_round_trip():
    exchange = connected(losing(start(2)))
    began = exchange.now
    write(exchange, 10 * MSS)
    exchange.run(began + 1)
    assert resent(exchange) == [(pytest.approx(began + RTT), start(2))]
    assert exchange.total("up") == 10 * MSS
    assert exchange.delivered["up"][-1][0] == pytest.approx(began + RTT + DELAY)
    window = exchange.client.sender.window
    assert window.threshold == 8  # of 12, CUBIC
    assert exchange.client.sender.state is State.OPEN


def test_several_holes_are_repaired_in_one_recovery():
    lost = [start(number) for number in (1, 4, 5, 8)]
    exchange = connected(losing(*lost))
    began = exchange.now
    write(exchange, 20 * MSS)
    exchange.run(began + 1)
    assert sorted(sequence for _, sequence in resent(exchange)) == lost
    assert all(t < began + 2.1 * RTT for t, _ in resent(exchange))
    assert exchange.total("up") == 20 * MSS
    assert exchange.client.sender.window.threshold == 7  # of 11


def test_a_lost_retransmission_is_seen_before_the_time_out():
    exchange = connected(losing(start(2), start(2)))
    began = exchange.now
    write(exchange, 60 * MSS)
    exchange.run(began + 1)
    times = [t - began for t, sequence in resent(exchange) if sequence == start(2)]
    assert len(times) == 2
    assert times[0] == pytest.approx(RTT)
    assert times[1] == pytest.approx(2 * RTT, abs=0.01)
    assert exchange.total("up") == 60 * MSS


def test_late_segments_are_no_loss_once_reordering_was_seen():
    def fate(way, _number, segment):
        number = segment.sequence // MSS
        late = (
            way == "up" and segment.length and (number == 8 or (number > 10 and number % 10 == 2))
        )
        return [DELAY + (0.005 if late else 0.0)]

    exchange = connected(fate)
    for _ in range(10):
        write(exchange, 10 * MSS)
        exchange.run(exchange.now + 3 * RTT)
    assert exchange.total("up") == 100 * MSS
    assert resent(exchange) == []
    assert exchange.client.sender.window.in_slow_start
    assert exchange.client.sender.state is State.OPEN


def test_two_segments_late_are_no_loss():
    def fate(way, _number, segment):
        late = way == "up" and segment.sequence == start(7)
        return [DELAY + (0.003 if late else 0.0)]

    exchange = connected(fate)
    write(exchange, 10 * MSS)
    exchange.run(exchange.now + 1)
    assert resent(exchange) == []
    assert (
        exchange.client.sender.window.segments == 18
    )  # of 10: acknowledgements with holes give nothing


def test_a_spurious_recovery_is_undone_by_the_timestamp():
    def fate(way, _number, segment):
        late = way == "up" and segment.sequence == start(1)
        return [DELAY + (0.015 if late and exchange.now < 0.11 else 0.0)]

    exchange = connected(fate)
    write(exchange, 10 * MSS)
    exchange.run(exchange.now + 1)
    assert [sequence for _, sequence in resent(exchange)] == [start(1)]
    assert exchange.client.sender.window.segments >= 10
    assert exchange.client.sender.window.in_slow_start


def test_a_lost_tail_is_probed_after_two_round_trips():
    exchange = connected(losing(start(3)))
    began = exchange.now
    write(exchange, 4 * MSS)
    exchange.run(began + 1)
    ((t, sequence),) = resent(exchange)
    assert sequence == start(3)
    # One segment is left after the acknowledgements of the others, so 200 ms are added for a
    # delayed one; but the time-out would be earlier than that, and then it counts.
    assert RTT + RTT + 0.2 <= t - began <= RTT + RTT + 0.2 + 0.008
    assert exchange.client.sender.window.segments == 10
    # What is acknowledged next shows that the probe was needed, which reduces the window.
    write(exchange, 100)
    exchange.run(exchange.now + 2 * RTT)
    assert exchange.client.sender.window.segments == 7


def test_a_probe_shows_what_was_lost_before_it():
    exchange = connected(losing(*map(start, (4, 5, 6, 7))))
    began = exchange.now
    write(exchange, 8 * MSS)
    exchange.run(began + 1)
    again = resent(exchange)
    assert [sequence for _, sequence in again] == [start(7), start(4), start(5), start(6)]
    assert 3 * RTT <= again[0][0] - began <= 3 * RTT + 0.012 + 0.008
    assert again[1][0] - again[0][0] == pytest.approx(RTT)
    assert exchange.total("up") == 8 * MSS


def test_without_any_acknowledgement_a_probe_and_then_time_outs_with_back_off():
    exchange = connected(
        lambda way, number, segment: [] if way == "up" and segment.length else [DELAY]
    )
    began = exchange.now
    write(exchange, 100)
    exchange.run(began + 3)
    probe, *time_outs = [t - began for t, _ in resent(exchange)]
    rto = RTT + 0.2
    # With one segment outstanding the probe would be later than the time-out, which then counts.
    assert rto <= probe <= rto + 0.008
    waits = [after - before for before, after in zip([probe, *time_outs], time_outs, strict=False)]
    for doublings, wait in enumerate(waits):
        assert rto * 2**doublings <= wait <= rto * 2**doublings * 1.14 + 0.008
    assert len(waits) == 3
    assert exchange.client.sender.window.segments == 1
    assert exchange.client.sender.state is State.LOSS


def test_after_a_time_out_the_window_starts_anew():
    exchange = connected(losing(*map(start, range(10)), *map(start, range(9, 10))))
    began = exchange.now
    write(exchange, 10 * MSS)
    exchange.run(began + 2)
    assert exchange.total("up") == 10 * MSS
    assert exchange.client.sender.state is State.OPEN
    assert exchange.client.sender.window.threshold == 7


def test_a_spurious_time_out_is_undone():
    def fate(way, number, segment):
        late = way == "up" and segment.length and exchange.now < 0.12
        return [DELAY + (0.5 if late else 0.0)]

    exchange = connected(fate)
    write(exchange, 10 * MSS)
    exchange.run(3.0)
    assert exchange.total("up") == 10 * MSS
    assert exchange.client.sender.state is State.OPEN
    assert exchange.client.sender.window.segments >= 10
    assert exchange.client.sender.window.in_slow_start
