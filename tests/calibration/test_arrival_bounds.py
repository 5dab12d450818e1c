"""Arrival bounds of probes on a delivery trace, and the time in it at which they are sent."""

import pytest

from testbed.calibration.arrival_bounds import LEAD, arrival_bounds, best_start
from testbed.calibration.rate import BIN, _replayed
from testbed.links.keyed_random import RandomKey
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

PROBES, EVERY, SIZE = 25, 5e-3, 142


def trace(*milliseconds):
    return DeliveryTrace("t", tuple(ms / 1000 for ms in milliseconds))


GAPPED = trace(*range(1, 20_000, 3), *range(100_000, 110_000, 3))  # 80 s without a delivery
FIRST = trace(*range(80_000, 81_000))
TRACES = {
    "a gap within": GAPPED,
    "a gap at first": FIRST,
    "one burst a minute": trace(*[60_000] * 30),
    "one in 80 s": trace(80_000),
    "dense": trace(1),
    "begins at 0": trace(0, 0, 5, 40, 41),
    "late": trace(*range(800, 9001, 5)),
}


@pytest.mark.parametrize("rate", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("count", [1, PROBES])
def test_probes_have_crossed_when_the_search_says_or_a_delivery_later(rate, count):
    begin = best_start(rate, count, EVERY, SIZE)
    assert 0 <= begin.time < rate.period + 1e-9
    began = 1000 - begin.time
    line = Pipeline(LinkSpec(rate=rate), RandomKey(1, "radio", "up"), began=began)
    for number in range(count):
        line.arrive(1000 + number * EVERY, bytes(SIZE))
    dues = []
    while (departure := line.leave(1e9)) is not None:
        dues.append(departure.due)
    assert len(dues) == count
    assert dues[0] - 1000 <= LEAD + 1e-6
    if begin.takes < 3:
        assert dues[-1] - 1000 <= begin.takes + 0.04


@pytest.mark.parametrize("name", ["a gap within", "a gap at first", "late"])
def test_a_gap_of_any_length_is_not_waited_for(name):
    assert best_start(TRACES[name], PROBES, EVERY, SIZE).takes < 0.2


def test_probes_begin_where_they_have_to_wait():
    times = GAPPED.times
    begin = best_start(GAPPED, PROBES, EVERY, SIZE).time
    (next_one,) = [time for time in times if begin <= time < begin + LEAD + 1e-9]
    before = times[times.index(next_one) - 1]
    assert next_one - before >= 2 * LEAD


@pytest.mark.parametrize("rate", TRACES.values(), ids=TRACES)
def test_a_link_that_follows_its_trace_keeps_the_course(rate):
    spec = LinkSpec(rate=rate, delay=0.02, jitter=0.005)
    sent = [500 + number * EVERY for number in range(PROBES)]
    for loss in (0.0, 0.5):
        line = Pipeline(
            LinkSpec(rate=rate, delay=0.02, jitter=0.005, loss=loss),
            RandomKey(1, "radio", "up"),
            began=500,
        )
        asked = arrival_bounds(spec, sent, SIZE, began=500)
        for number, time in enumerate(sent):
            line.arrive(time, number.to_bytes(2, "big") + bytes(SIZE - 2))
        while (departure := line.leave(1e9)) is not None:
            number = int.from_bytes(departure.packet.frame[:2], "big")
            assert asked.earliest[number] - 1e-9 <= departure.due <= asked.latest[number] + 1e-9


@pytest.mark.parametrize(
    ("times", "replayed"),
    [
        ((0.001, 10.0), (0.0, 10.0)),
        ((0.001, 90.0), (0.0, 30.0)),
        ((0.001, 0.2), (0.0, BIN)),
        ((0.55,), (0.0, 2 * BIN)),
        ((0.45, 0.7), (0.0, BIN)),
        ((80.2, 90.0), (80.0, 30.0)),
        ((5.05,), (4.5, 5.0)),
    ],
)
def test_what_is_replayed_of_a_trace_has_a_delivery(times, replayed):
    trace = DeliveryTrace("t", times)
    skipped, seconds = _replayed(trace, 30.0)
    assert (skipped, seconds) == replayed
    assert trace.first_from(skipped) < trace.first_from(skipped + seconds)
