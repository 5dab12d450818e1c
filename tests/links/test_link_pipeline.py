"""The pipeline of one direction, on a clock that the test sets."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

FRAME = bytes(1000)
START = 1000.0


def pipeline(direction="up", seed=1, **values):
    return Pipeline(LinkSpec(**values), RandomKey(seed, "radio", direction))


def leave_all(line, now=math.inf):
    departures = []
    while (departure := line.leave(now)) is not None:
        departures.append(departure)
    return departures


def times(line, now=math.inf):
    return [due - START for due, _ in leave_all(line, now)]


def numbered(n):
    return n.to_bytes(4, "big") + bytes(996)


def test_a_perfect_link_forwards_at_once():
    line = pipeline()
    line.arrive(START, FRAME)
    assert line.leave(START) == (START, (0, FRAME, START))


def test_a_lone_packet_pays_its_serialisation_and_the_delay():
    line = pipeline(rate=8e6, delay=0.02)
    line.arrive(START, FRAME)
    assert line.leave(START + 0.0209) is None
    assert times(line) == pytest.approx([0.021])


def test_a_burst_is_spaced_by_the_rate():
    line = pipeline(rate=8e6)
    for _ in range(5):
        line.arrive(START, FRAME)
    assert times(line) == pytest.approx([0.001, 0.002, 0.003, 0.004, 0.005])


def test_an_idle_server_saves_up_no_credit():
    line = pipeline(rate=8e6)
    line.arrive(START, FRAME)
    leave_all(line, START + 10)
    line.arrive(START + 10, FRAME)
    assert times(line) == pytest.approx([10.001])


def test_the_queue_drops_its_tail_by_bytes():
    line = pipeline(rate=8e6, queue=2500)
    for _ in range(3):
        line.arrive(START, FRAME)
    assert (line.counts.dropped["queue"], line.in_flight) == (1, 2)
    line.arrive(START + 0.0011, FRAME)  # one has been sent, so there is room again
    assert line.counts.dropped["queue"] == 1


def test_packets_in_the_air_do_not_fill_the_queue():
    line = pipeline(rate=8e6, delay=10, queue=1514)
    for n in range(5):
        line.arrive(START + n * 0.0011, FRAME)
    assert (line.counts.dropped["queue"], line.in_flight) == (0, 5)


def test_next_event_is_never_after_the_next_departure():
    line = pipeline(rate=8e6, delay=0.02, jitter=0.02)
    now = START
    for _ in range(200):
        line.arrive(now, FRAME)
        event = line.next_event()
        due, _ = line.leave(math.inf)
        assert event <= due
        now = due
    assert line.next_event() is None


def test_waking_only_at_next_event_delivers_everything_on_time():
    line = pipeline(rate=8e6, delay=0.02, jitter=0.01)
    for n in range(50):
        line.arrive(START + n * 0.0005, FRAME)
    while (now := line.next_event()) is not None:
        departure = line.leave(now)
        assert departure is None or departure[0] == now
        if departure is None:
            assert line.next_event() > now
    assert line.counts.forwarded_packets == 50


def test_jitter_is_uniform_and_keeps_order():
    line = pipeline(delay=0.05, jitter=0.02)
    for n in range(2000):
        line.arrive(START + n, numbered(n))
    departures = leave_all(line)
    assert [packet.frame for _, packet in departures] == [numbered(n) for n in range(2000)]
    holds = [due - START - n for n, (due, _) in enumerate(departures)]
    assert 0.03 <= min(holds) < 0.031
    assert 0.069 < max(holds) <= 0.07
    assert statistics.mean(holds) == pytest.approx(0.05, abs=0.001)
    assert statistics.pstdev(holds) == pytest.approx(0.02 / math.sqrt(3), rel=0.05)


def test_dense_packets_are_never_reordered_by_jitter():
    line = pipeline(delay=0.05, jitter=0.05)
    for n in range(500):
        line.arrive(START + n * 1e-4, numbered(n))
    departures = leave_all(line)
    assert [packet.frame for _, packet in departures] == [numbered(n) for n in range(500)]
    assert [due for due, _ in departures] == sorted(due for due, _ in departures)


def lost(line, count=1000, gap=0.001):
    numbers = []
    for n in range(count):
        before = line.counts.dropped["loss"]
        line.arrive(START + n * gap, FRAME)
        if line.counts.dropped["loss"] > before:
            numbers.append(n)
    return numbers


def test_the_same_seed_loses_the_same_packets_whatever_the_timing():
    assert lost(pipeline(loss=0.1), gap=0.001) == lost(pipeline(loss=0.1, rate=8e6), gap=0.7)
    assert lost(pipeline(loss=0.1)) != lost(pipeline(loss=0.1, seed=2))
    assert lost(pipeline(loss=0.1)) != lost(pipeline("down", loss=0.1))


def test_more_loss_loses_more_of_the_same_packets():
    assert set(lost(pipeline(loss=0.1))) < set(lost(pipeline(loss=0.2)))


def test_loss_of_none_and_of_all():
    assert lost(pipeline(loss=0)) == []
    assert len(lost(pipeline(loss=1))) == 1000


def test_keyed_numbers_are_uniform():
    uniform = KeyedUniform(RandomKey(1, "radio", "up"), "loss")
    draws = [uniform(n) for n in range(20000)]
    assert statistics.mean(draws) == pytest.approx(0.5, abs=0.01)
    assert statistics.pvariance(draws) == pytest.approx(1 / 12, abs=0.002)
    lag = statistics.correlation(draws[:-1], draws[1:])
    assert abs(lag) < 0.03


def test_a_faster_rate_speeds_up_what_waits():
    line = pipeline(rate=8e6)
    for _ in range(3):
        line.arrive(START, FRAME)
    line.change(START + 0.0005, LinkSpec(rate=80e6))  # half of the first is sent
    assert times(line) == pytest.approx([0.00055, 0.00065, 0.00075])


def test_a_lifted_limit_frees_what_waits():
    line = pipeline(rate=8e3)
    for _ in range(3):
        line.arrive(START, FRAME)
    line.change(START + 0.1, LinkSpec())
    assert times(line) == pytest.approx([0.1, 0.1, 0.1])


def test_a_smaller_queue_keeps_what_waits():
    line = pipeline(rate=8e6)
    for _ in range(10):
        line.arrive(START, FRAME)
    line.change(START, LinkSpec(rate=8e6, queue=1514))
    line.arrive(START, FRAME)
    assert (line.in_flight, line.counts.dropped["queue"]) == (10, 1)


def test_a_shorter_delay_lets_nothing_overtake():
    line = pipeline(delay=0.1)
    line.arrive(START, numbered(0))
    line.change(START, LinkSpec(delay=0.01))
    line.arrive(START, numbered(1))
    assert [(due, packet.frame) for due, packet in leave_all(line)] == [
        (START + 0.1, numbered(0)),
        (START + 0.1, numbered(1)),
    ]


specs = st.builds(
    LinkSpec,
    rate=st.none() | st.floats(min_value=1e4, max_value=1e8),
    delay=st.floats(min_value=0.01, max_value=0.1),
    jitter=st.floats(min_value=0, max_value=0.01),
    loss=st.sampled_from([0.0, 0.3, 1.0]),
    queue=st.sampled_from([1514, 5000, 100_000]),
)


@given(
    first=specs,
    steps=st.lists(st.tuples(st.floats(min_value=0, max_value=0.05), st.none() | specs)),
)
def test_every_packet_is_accounted_for_through_any_changes(first, steps):
    line = Pipeline(first, RandomKey(7, "radio", "up"))
    now, last_due, frames, seen = START, 0.0, 0, []
    for pause, spec in steps:
        now += pause
        if spec is None:
            line.arrive(now, numbered(frames))
            frames += 1
        else:
            line.change(now, spec)
        for due, packet in leave_all(line, now):
            assert last_due <= due <= now
            last_due = due
            seen.append(packet.frame)
        dropped = line.counts.dropped["loss"] + line.counts.dropped["queue"]
        assert line.counts.received_packets == frames
        assert frames == line.counts.forwarded_packets + dropped + line.in_flight
        assert line.counts.received_bytes == 1000 * frames
    seen += [packet.frame for _, packet in leave_all(line)]
    assert seen == sorted(seen)
    assert line.in_flight == 0
    assert len(seen) == line.counts.forwarded_packets
