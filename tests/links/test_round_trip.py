"""The longest round trip that the settings of a link allow."""

from pathlib import Path

import pytest

from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.round_trip import longest_round_trip
from testbed.links.schedule import Moment, Schedule, ScheduleBuilder
from testbed.links.spec import Duplex, LinkSpec

PLAIN = LinkSpec()
ONE = 1514 * 8 / 1e6  # seconds of a full frame at 1 Mbit/s


@pytest.mark.parametrize(
    ("up", "down", "seconds"),
    [
        (PLAIN, PLAIN, 0.0),
        (LinkSpec(delay=3), LinkSpec(delay=2, jitter=1), 6.0),
        # A full queue, and the packet that comes on top.
        (LinkSpec(rate=1e6, queue=100_000), PLAIN, 0.8 + ONE),
        (PLAIN, LinkSpec(rate=1e6, queue=100_000, delay=0.5), 1.3 + ONE),
    ],
)
def test_a_packet_meets_a_full_queue_and_the_longest_hold(up, down, seconds):
    assert longest_round_trip(Duplex(up, down), Schedule()) == pytest.approx(seconds)


def test_a_trace_makes_it_wait_for_its_longest_gap():
    trace = DeliveryTrace(Path("t"), (0.1, *(70 + n / 1000 for n in range(1000))))
    spec = LinkSpec(rate=trace)
    assert 69.9 < longest_round_trip(Duplex(spec, PLAIN), Schedule()) < 75


def test_a_schedule_counts_with_all_that_it_will_do():
    duplex = Duplex(LinkSpec(delay=1), LinkSpec(delay=1))
    draft = ScheduleBuilder(duplex)
    draft.set("up", 5, {"delay": 4.0})
    draft.set("up", 6, {"delay": 2.0})
    assert longest_round_trip(duplex, draft.compile()) == 5
    draft.hold(8, 18)
    draft.set("up", 10, {"delay": 3.0})
    assert longest_round_trip(duplex, draft.compile()) == 5 + 2 * 10
    # Moments that hold on, one after the other.
    held = [Moment(t, duplex.up, duplex.down, held=t < 3) for t in (1.0, 2.0, 3.0)]
    assert longest_round_trip(duplex, Schedule(tuple(held))) == 2 + 2 * 2
