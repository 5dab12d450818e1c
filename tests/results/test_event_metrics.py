"""Metrics of one generation from events: time is counted once, bits and bytes are sums."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.results.event_metrics import event_metrics
from tests.analysis.test_summary import START, row, span

SECONDS = 10.0


def metrics(device=(), verifier=()):
    return event_metrics(device, verifier, START, SECONDS)


def compute(of):
    return pytest.approx((of.device_compute_s, of.verifier_compute_s, of.network_s), abs=1e-8)


def test_a_row_has_them_of_its_own_events():
    device, verifier = [span("draft", 1, 4)], [span("verify", 2, 6)]
    assert row(device=device, verifier=verifier).events == metrics(device, verifier)


def test_without_events_all_the_time_is_the_networks():
    assert compute(metrics()) == (0, 0, 10)


def test_nodes_that_compute_at_the_same_time_are_subtracted_from_the_network_once():
    got = metrics(device=[span("draft", 1, 4)], verifier=[span("prefill", 2, 6)])
    assert compute(got) == (3, 4, 5)
    assert got.verify_s == 0


def test_reading_the_prompt_is_no_verifying():
    got = metrics(verifier=[span("prefill", 0, 3), span("verify", 4, 5), span("verify", 7, 9)])
    assert compute(got) == (0, 6, 4)
    assert got.verify_s == pytest.approx(3)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(1, 3), (2, 4)], 3),  # overlapping
        ([(1, 5), (2, 3)], 4),  # nested
        ([(1, 2), (2, 3)], 2),  # touching
        ([(5, 6), (1, 2)], 2),  # out of order
        ([(1, 2), (1, 2)], 1),  # twice
        ([(1, 6), (2, 3), (4, 7)], 6),  # reaching back behind a nested one
        ([(3, 3)], 0),
    ],
)
def test_overlapping_spans_count_once(spans, seconds):
    got = metrics(device=[span("draft", *each) for each in spans])
    assert compute(got) == (seconds, 0, 10 - seconds)


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [(-2, -1, 0), (-2, 1, 1), (9, 12, 1), (11, 12, 0), (-5, 15, 10), (0, 10, 10), (10, 11, 0)],
)
def test_only_what_lies_in_the_time_of_the_text_counts(begin, end, seconds):
    for name, node in (("draft", "device"), ("verify", "verifier")):
        got = metrics(**{node: [span(name, begin, end)]})
        assert got.network_s == pytest.approx(10 - seconds, abs=1e-8)
        assert getattr(got, f"{node}_compute_s") == pytest.approx(seconds, abs=1e-8)


def test_only_computing_is_compute():
    for name in ("draft", "encode", "resample"):
        assert compute(metrics(device=[span(name, 1, 2)])) == (1, 0, 9)
    for name in ("prefill", "verify"):
        assert compute(metrics(verifier=[span(name, 1, 2)])) == (0, 1, 9)
    waiting = [span("wait", 1, 2), {"event": "receive", "t": round(START * 1e9), "bytes": 3}]
    assert compute(metrics(device=waiting, verifier=waiting)) == (0, 0, 10)


seconds = st.integers(-3, 13)
spans = st.lists(st.tuples(seconds, seconds).map(sorted), max_size=8)


@settings(deadline=None)
@given(device=spans, verifier=spans)
def test_times_are_those_of_a_clock_that_ticks_once_a_second(device, verifier):
    def ticks(some):
        return {tick for begin, end in some for tick in range(max(begin, 0), min(end, 10))}

    got = metrics(
        device=[span("draft", *each) for each in device],
        verifier=[span("verify", *each) for each in verifier],
    )
    busy = ticks(device) | ticks(verifier)
    assert compute(got) == (len(ticks(device)), len(ticks(verifier)), 10 - len(busy))


def test_downloads_are_summed_from_what_the_verifier_sent():
    sent = [
        {"event": "send", "t": 0, "bytes": 10, "payload_bits": 33},
        {"event": "send", "t": 0, "bytes": 20, "payload_bits": 7},
        {"event": "send", "t": 0, "bytes": 5},  # sent again
        {"event": "receive", "t": 0, "bytes": 1000, "payload_bits": 1000},
    ]
    got = metrics(device=sent, verifier=sent)
    assert (got.downlink_payload_bits, got.downlink_message_bytes) == (40, 35)


def test_the_distance_to_the_quantised_target_is_a_mean_over_positions():
    events = [{"event": "quantise_target", "t": 0, "tv": tv} for tv in (0.1, 0.3, 0.2)]
    assert metrics(verifier=events).target_tv == pytest.approx(0.2)
    assert metrics().target_tv is None
