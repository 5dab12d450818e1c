"""The range in which simulation was compared with emulation, and what lies outside it."""

from __future__ import annotations

import math

import pytest

from testbed.analysis.validity import (
    Agreement,
    Validity,
    extrapolated,
    spans_of,
    statement,
    validity,
)
from testbed.scenario.load import check_scenario
from tests.support.whole_run import SYNTHETIC

KNOWN = Validity(
    ranges={
        "rate": (1e6, 50e6), "round_trip": (2e-3, 0.1), "loss": (0, 0.05), "devices": (1, 8),
        "draft_length": (1, 8),
    },
    errors=[
        Agreement(what="mean round time without loss", median=0.0123, worst=0.04),
        Agreement(what="goodput of a cell", median=0.02, worst=0.05),
    ],
)  # fmt: skip
LINK = {"rate": "10mbit", "delay": "10ms"}


def spans(up=None, drafted=(0, 0, 0, 0, 3), **changes):
    """Return the spans of a generation on one link."""
    link = {"up": {**LINK, **(up or {})}, "down": LINK, **changes.pop("link", {})}
    scenario = check_scenario({**SYNTHETIC, "links": {"radio": link}, **changes}, "test")
    return spans_of(scenario, ["radio"], drafted)


def test_the_data_of_this_version_can_be_read():
    assert statement(validity()).startswith("validated against emulation for")


def test_a_statement_names_ranges_and_errors():
    assert statement(KNOWN) == (
        "validated against emulation for rate 1mbit to 50mbit, RTT 2ms to 100ms, loss 0% to 5%, "
        "devices 1 to 8, γ 1 to 8: mean round time without loss within 1.2% (median), 4.0% "
        "(worst), goodput of a cell within 2.0% (median), 5.0% (worst)"
    )
    nothing = Validity(ranges={}, errors=[])
    assert statement(nothing) == "validated against emulation for: none yet"
    endless = Validity(ranges={"rate": (1e6, None)}, errors=[])
    assert statement(endless) == "validated against emulation for rate 1mbit to unlimited"


def test_a_generation_in_the_middle_of_all_ranges_is_not_extrapolated():
    found = spans()
    assert found["rate"] == (10e6, 10e6)
    assert found["round_trip"] == (0.02, 0.02)
    assert found["draft_length"] == (4, 4)
    assert extrapolated(found, KNOWN) == []


@pytest.mark.parametrize(
    ("outside", "changes"),
    [
        (["rate"], {"up": {"rate": "999kbit"}}),
        (["rate"], {"up": {"rate": "51mbit"}}),
        (["rate"], {"up": {"rate": "unlimited"}}),
        (["RTT"], {"up": {"delay": "91ms"}}),
        (["loss"], {"up": {"loss": "6%"}}),
        (["loss"], {"up": {"loss": {"mean": "6%", "burst": 3}}}),
        ([], {"up": {"loss": {"mean": "4%", "burst": 3}}}),
        (["corrupt"], {"up": {"corrupt": "1%"}}),
        (["reorder"], {"up": {"reorder": "1%"}}),
        (["jitter"], {"up": {"jitter": "1ms"}}),
        (["γ"], {"drafted": [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]}),
        ([], {"drafted": []}),
        (["rate", "changes"], {"link": {"changes": [{"at": "1s", "up": {"rate": "60mbit"}}]}}),
    ],
)
def test_each_quantity_outside_its_range_is_named(outside, changes):
    assert extrapolated(spans(**changes), KNOWN) == outside


def test_many_devices_are_outside():
    assert extrapolated({**spans(), "devices": (9, 9)}, KNOWN) == ["devices"]


def test_a_range_without_an_end_holds_whatever_is_larger():
    ranges = {**KNOWN.ranges, "rate": (1e6, None)}
    assert extrapolated(
        {**spans(), "rate": (1e6, math.inf)}, Validity(ranges=ranges, errors=[])
    ) == []  # fmt: skip
