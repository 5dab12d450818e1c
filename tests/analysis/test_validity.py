"""The range in which simulation was compared with emulation, and what lies outside it."""

from __future__ import annotations

import math

import pytest

from testbed.analysis.validity import (
    Comparison,
    Validity,
    extrapolated,
    spans_of,
    statement,
    validity,
)
from testbed.scenario.load import check_scenario
from tests.support.whole_run import SYNTHETIC

RANGES = {
    "rate": (1e6, 50e6), "round_trip": (2e-3, 0.1), "loss": (0, 0.05), "devices": (1, 1),
    "draft_length": (1, 8),
}  # fmt: skip
CELL = {**RANGES, "rate": (10e6, 10e6), "loss": (0, 0), "devices": (8, 8)}


def compared(*ranges):
    """Return what is known by comparisons in these ranges."""
    return Validity(
        comparisons=[
            Comparison(what="round times", ranges=each, median=0.0123, worst=0.04)
            for each in ranges
        ]
    )


KNOWN = compared(RANGES, CELL)
LINK = {"rate": "10mbit", "delay": "10ms"}


def spans(up=None, drafted=(0, 0, 0, 0, 3), **changes):
    """Return the spans of a generation on one link."""
    link = {"up": {**LINK, **(up or {})}, "down": LINK, **changes.pop("link", {})}
    scenario = check_scenario({**SYNTHETIC, "links": {"radio": link}, **changes}, "test")
    return spans_of(scenario, ["radio"], drafted)


def test_the_data_of_this_version_can_be_read():
    assert statement(validity()).startswith("validated against emulation for")


def test_a_statement_names_ranges_and_errors():
    agreed = "round times within 1.2% (median), 4.0% (worst) at "
    assert statement(KNOWN) == (
        "validated against emulation for "
        f"{agreed}rate 1mbit to 50mbit, RTT 2ms to 100ms, loss 0% to 5%, devices 1, γ 1 to 8; "
        f"{agreed}rate 10mbit, RTT 2ms to 100ms, loss 0%, devices 8, γ 1 to 8"
    )
    assert statement(compared()) == "validated against emulation for: none yet"
    assert statement(compared({"rate": (1e6, None)})).endswith("at rate 1mbit to unlimited")


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
        (["loss"], {"up": {"loss": {"mean": "4%", "burst": 3}}}),
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


def test_ranges_of_different_comparisons_are_not_combined():
    cell = {**spans(), "devices": (8, 8)}
    assert extrapolated(cell, KNOWN) == []
    assert extrapolated({**cell, "devices": (4, 4)}, KNOWN) == ["devices"]
    assert extrapolated({**cell, "rate": (9e6, 9e6), "loss": (0.01, 0.01)}, KNOWN) == ["devices"]


def test_a_range_without_an_end_holds_whatever_is_larger():
    endless = compared({**RANGES, "rate": (1e6, None)})
    assert extrapolated({**spans(), "rate": (1e6, math.inf)}, endless) == []


def test_nothing_is_inside_where_nothing_was_compared():
    assert extrapolated(spans(), compared()) == ["rate", "RTT", "loss", "devices", "γ"]
