"""Predictions: E[N] over the draft lengths of a generation, and the parts of a round's time."""

from __future__ import annotations

import math

import pytest

from testbed.analysis.prediction import Hop, Route, predict_mean_acceptance_length, predict_on_air
from testbed.decoding.theory import Costs, expected_tokens, round_seconds
from testbed.links.spec import Duplex, LinkSpec
from tests.analysis.test_summary import RESULT, row, span
from tests.support.records import changed


def test_rounds_of_different_lengths_are_weighted_by_how_often_they_came():
    result = changed(RESULT, draft_lengths=[1, 0, 3], accepted=3, rejections=2)
    wanted = (1 + 3 * expected_tokens(0.6, 2)) / 4
    assert predict_mean_acceptance_length(result.counts) == pytest.approx(wanted)


@pytest.mark.parametrize("changes", [{"draft_lengths": []}, {"accepted": 0, "rejections": 0}])
def test_without_drafts_there_is_no_prediction(changes):
    assert predict_mean_acceptance_length(changed(RESULT, **changes).counts) is None


def test_a_text_of_equal_rounds_takes_what_theory_says_of_a_round():
    """2 rounds of 3 drafts; drafting took 3 s, verifying 2 s."""
    costs = Costs(draft=0.5, verify=1.0, uplink=1e6, downlink=2e6, round_trip=0.25)
    sent = [{"event": "send", "t": 0, "bytes": 9, "payload_bits": bits} for bits in (800, 200)]
    got = row(device=[span("draft", 0, 3)], verifier=[span("verify", 3, 5), *sent])
    one = round_seconds(costs, 3, up_bits=99.5 / 2, down_bits=1000 / 2)
    assert got.predicted_mean_acceptance_length == pytest.approx(expected_tokens(0.5, 3))
    assert got.predicted_tokens_per_second == pytest.approx(expected_tokens(0.5, 3) / one)
    assert got.predicted_on_air_s == pytest.approx(99.5 / 1e6 + 1000 / 2e6)


def test_reading_the_prompt_overlaps_with_drafting_and_is_not_added():
    got = row(device=[span("draft", 0, 3)], verifier=[span("prefill", 0, 2), span("verify", 3, 5)])
    without = row(device=[span("draft", 0, 3)], verifier=[span("verify", 3, 5)])
    assert got.predicted_tokens_per_second == without.predicted_tokens_per_second


def test_a_route_is_as_fast_as_its_slowest_link_and_as_long_as_all():
    fast = LinkSpec(rate=5e6, delay=0.01)
    slow = LinkSpec(rate=1e6, delay=0.02)
    open_ended = LinkSpec(delay=0.1)
    route = Route.along([Duplex(fast, slow), Duplex(slow, open_ended)])
    assert (route.uplink, route.downlink) == (1e6, 1e6)
    assert route.round_trip == pytest.approx(0.15)
    none = Route.along([])
    assert (none.uplink, none.downlink, none.round_trip) == (math.inf, math.inf, 0)


def test_without_a_formula_the_payload_counts():
    result = changed(RESULT, formula_bits=0)
    assert predict_on_air(result, Route((Hop(1e3, 0),), ()), 777) == pytest.approx(1.234)
