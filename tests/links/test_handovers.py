"""Handovers: how scenarios write them, and the intervals in which links wait for them."""

import pytest

from testbed.errors import TestbedError
from testbed.links.handovers import Handover, held_links, read_handovers
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec

LINKS = ("radio", "radio_2", "radio_3")
THERE = {"at": "5s", "to": "radio_2", "stall": "60ms"}


def read(*raw):
    return read_handovers(raw, LINKS, "handovers")


def test_handovers_are_read_and_written():
    there, back = read(THERE, {"at": "9s", "to": "radio"})
    assert (there, back) == (Handover(5.0, "radio_2", 0.06), Handover(9.0, "radio"))
    assert back.to_mapping() == {"at": "9s", "to": "radio", "stall": "0us"}
    assert read(there.to_mapping(), back.to_mapping()) == [there, back]


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ([3], "[0]: a handover is a mapping, e.g. {at: 5s, to: radio_2, stall: 60ms}"),
        ([{"at": "5s"}], "[0].to: this key is missing"),
        ([{"to": "radio_2"}], "[0].at: this key is missing"),
        ([{**THERE, "stal": 1}], "[0].stal: unknown key; allowed are at, to, stall"),
        ([{**THERE, "at": 5}], "[0].at: '5' is not a time; write a number and one of us, ms, s, "
         "e.g. 20ms"),
        ([{**THERE, "to": "lan"}], "[0].to: 'lan' is not a radio link; choose from radio, radio_2, "
         "radio_3"),
        ([{**THERE, "to": "radio"}], "[0].to: the device is on radio already"),
        ([THERE, {**THERE, "at": "7s"}], "[1].to: the device is on radio_2 already"),
        ([THERE, {"at": "5050ms", "to": "radio"}], "[1].at: 5.05s does not come after the handover "
         "above it, which ends at 5.06s"),
        ([{"at": "5s", "to": "radio_2"}, {"at": "5s", "to": "radio"}],
         "[1].at: 5s does not come after the handover above it, which ends at 5s"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(raw, error):
    with pytest.raises(TestbedError) as caught:
        read(*raw)
    assert str(caught.value) == f"handovers{error}"


def test_the_old_link_and_the_new_one_wait():
    plan = read(THERE, {"at": "7s", "to": "radio_3"}, {"at": "9s", "to": "radio", "stall": "1s"})
    assert held_links(plan, "radio") == {
        "radio": [(5.0, 5.06), (9.0, 10.0)],
        "radio_2": [(5.0, 5.06)],
        "radio_3": [(9.0, 10.0)],
    }
    assert held_links([], "radio") == {}


def test_a_link_waits_in_the_midst_of_its_own_changes():
    link = Duplex(LinkSpec(rate=1e6), LinkSpec())
    changes = [{"at": "5020ms", "up": {"rate": "2mbit"}}]
    schedule = read_schedule(link, "run", changes, {}, "links.radio", holds=[(5.0, 5.06)])
    assert [(each.time, each.up.rate, each.held) for each in schedule.moments] == [
        (5.0, 1e6, True), (5.02, 2e6, True), (5.06, 2e6, False),
    ]  # fmt: skip


def test_a_link_that_waits_begins_with_the_run():
    with pytest.raises(TestbedError, match=r"^links.radio.start: 'first_packet' cannot go with"):
        read_schedule(
            Duplex(LinkSpec(), LinkSpec()), "first_packet", [], {}, "links.radio", holds=[(1, 2)]
        )
