"""Reports of changes, rows, traces and handovers that a run did not reach."""

import pytest

from testbed.links.handovers import Handover
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.schedule import Schedule
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.unmet import unmet

PLAIN = Duplex(LinkSpec(rate=1e6), LinkSpec())


def told(seconds, *changes, duplex=PLAIN, handovers=(), **traces):
    schedule = read_schedule(duplex, "run", changes, traces, "links.radio")
    return unmet({"radio": duplex}, {"radio": schedule}, handovers, seconds, {"radio": seconds})


OUTAGE = {"at": "300s", "outage": "1s"}


@pytest.mark.parametrize(
    ("seconds", "changes", "found"),
    [
        (301, [OUTAGE], []),
        (12, [], []),
        (12, [OUTAGE], ["link radio: the change at 300s never took place"]),
        (
            12,
            [{"at": "1s", "outage": "1s"}, OUTAGE, {"at": "400s", "up": {"rate": "2mbit"}}],
            ["link radio: the changes from 300s on never took place"],
        ),
    ],
)
def test_changes_after_the_end_are_told(seconds, changes, found):
    assert told(seconds, *changes) == found


def test_handovers_after_the_end_are_told():
    handovers = [Handover(5.0, "radio_2"), Handover(9.0, "radio")]
    assert told(6, handovers=handovers) == ["the handover at 9s never took place"]


@pytest.mark.parametrize(("seconds", "fate"), [(2, "was not reached"), (9, "held to the end")])
def test_a_table_is_as_long_as_the_run_or_it_is_told(tmp_path, seconds, fate):
    path = tmp_path / "t.csv"
    path.write_text("time (s),rate (mbit)\n0,1\n4,2\n")
    assert told(seconds, up=str(path)) == [
        f"link radio up: the last row of its trace, at 4s, {fate}"
    ]


@pytest.mark.parametrize(
    ("seconds", "fate"), [(2, "was not played to its end"), (9, "began again")]
)
def test_a_trace_of_deliveries_is_as_long_as_the_run_or_it_is_told(seconds, fate):
    trace = DeliveryTrace("t", (0.001, 4.0))
    duplex = Duplex(LinkSpec(), LinkSpec(rate=trace))
    assert told(seconds, duplex=duplex) == [f"link radio down: the trace of 4s {fate}"]


TRACED = Duplex(LinkSpec(), LinkSpec(rate=DeliveryTrace("t", (0.001, 4.0))))
NO_PACKET = ["link radio: its schedule begins with the first packet, and none came"]


@pytest.mark.parametrize(
    ("duplex", "changes", "since", "found"),
    [
        (PLAIN, [OUTAGE], 299.0, ["link radio: the change at 300s never took place"]),
        (PLAIN, [OUTAGE], 300.5, []),
        (PLAIN, [OUTAGE], None, NO_PACKET),
        (TRACED, [], 3.0, ["link radio down: the trace of 4s was not played to its end"]),
        (TRACED, [], None, NO_PACKET),
    ],
)
def test_what_begins_with_the_first_packet_is_looked_at_from_there_on(
    duplex, changes, since, found
):
    schedule = read_schedule(duplex, "first_packet", changes, {}, "links.radio")
    assert unmet({"radio": duplex}, {"radio": schedule}, [], 301.0, {"radio": since}) == found


def test_what_links_without_a_schedule_do_is_met():
    for seconds in (None, 1.0):
        assert unmet({"radio": PLAIN}, {}, [], 1.0, {"radio": seconds}) == []
    assert Schedule().changes_at == Schedule().rows_until == ()
