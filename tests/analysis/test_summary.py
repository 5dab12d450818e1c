"""One row from events: time is counted once, bits and bytes are sums."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.aggregate import aggregate_seconds, aggregate_speed
from testbed.analysis.prediction import Hop, Route
from testbed.analysis.summary import summarise
from testbed.clock import LARGEST_DILATION
from testbed.counts import DraftCounts, Traffic
from testbed.protocol.control import Result
from testbed.results.rows import SHORTEST, Row, WireBytes
from tests.support.records import changed

START = 1000.0  # seconds of CLOCK_MONOTONIC
RESULT = Result(
    tokens=[4, 5, 6, 7],
    text="x",
    times=[1.0, 4.0, 4.0, 10.0],
    start=START,
    counts=msgspec.structs.replace(
        DraftCounts.zero(), rounds=2, draft_passes=7, drafted=6, verified=4, accepted=2,
        rejections=2,
        verified_per_position=[2, 1, 1], accepted_per_position=[1, 1, 0],
        draft_lengths=[0, 0, 0, 2], formula_bits=99.5,
    ),
    traffic=msgspec.structs.replace(
        Traffic.zero(), up_bytes=900, up_payload_bits=1234, resends=1
    ),
)  # fmt: skip
LINKS = {
    "radio": WireBytes(1111, 11, 1, 2222, 22, 2),
    "backhaul": WireBytes(3333, 33, 3, 4444, 44, 4),
}


def span(name: str, begin: float, end: float):
    """Return an event from `begin` to `end`, in seconds from the start."""
    return {
        "event": name,
        "t": round((START + begin) * 1e9),
        "dur": round((end - begin) * 1e9),
    }


def row(device=(), verifier=(), own_links=("radio",), name="device", **changes):
    return summarise(
        name=name,
        label="mine",
        point={"links.radio.up.rate": "1mbit"},
        repetition=1,
        prompt=2,
        result=changed(RESULT, **changes),
        device=list(device),
        verifier=list(verifier),
        links=LINKS,
        own_links=own_links,
        route=Route((Hop(1e6, 0.1),), (Hop(2e6, 0.15),)),
        verdict="suspect",
        reasons=["late"],
    )


def compute(of):
    return pytest.approx((of.device_compute_s, of.verifier_compute_s, of.network_s), abs=1e-8)


def test_what_the_result_says():
    got = row()
    assert (got.method, got.repeat, got.prompt) == ("mine", 1, 2)
    assert got.point == {"links.radio.up.rate": "1mbit"}
    assert (got.tokens, got.seconds, got.tokens_per_second, got.ttft_s) == (4, 10, 0.4, 1)
    assert (got.counts, got.traffic) == (RESULT.counts, RESULT.traffic)
    assert got.verification_rounds == 2
    assert (got.verdict, got.reasons) == ("suspect", ["late"])
    assert got.output_sha256 == hashlib.sha256(b"[4,5,6,7]").hexdigest()
    assert row(tokens=[4, 5, 7, 6]).output_sha256 != got.output_sha256


@pytest.mark.parametrize(
    ("accepted", "verified", "wanted"),
    [(0, 0, None), (0, 3, 0.0), (4, 4, 1.0), (3, 4, 0.75)],
)
def test_the_acceptance_rate_is_of_the_drafts_that_were_verified(accepted, verified, wanted):
    got = row(accepted=accepted, verified=verified, drafted=50)
    assert got.acceptance_rate == wanted


def test_without_events_all_the_time_is_the_networks():
    assert compute(row()) == (0, 0, 10)


def test_nodes_that_compute_at_the_same_time_are_subtracted_from_the_network_once():
    got = row(device=[span("draft", 1, 4)], verifier=[span("prefill", 2, 6)])
    assert compute(got) == (3, 4, 5)
    assert got.verify_s == 0


def test_reading_the_prompt_is_no_verifying():
    got = row(verifier=[span("prefill", 0, 3), span("verify", 4, 5), span("verify", 7, 9)])
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
    got = row(device=[span("draft", *each) for each in spans])
    assert compute(got) == (seconds, 0, 10 - seconds)


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [(-2, -1, 0), (-2, 1, 1), (9, 12, 1), (11, 12, 0), (-5, 15, 10), (0, 10, 10), (10, 11, 0)],
)
def test_only_what_lies_in_the_time_of_the_text_counts(begin, end, seconds):
    for name, node in (("draft", "device"), ("verify", "verifier")):
        got = row(**{node: [span(name, begin, end)]})
        assert got.network_s == pytest.approx(10 - seconds, abs=1e-8)
        assert getattr(got, f"{node}_compute_s") == pytest.approx(seconds, abs=1e-8)


def test_only_computing_is_compute():
    for name in ("draft", "encode", "resample"):
        assert compute(row(device=[span(name, 1, 2)])) == (1, 0, 9)
    for name in ("prefill", "verify"):
        assert compute(row(verifier=[span(name, 1, 2)])) == (0, 1, 9)
    waiting = [span("wait", 1, 2), {"event": "receive", "t": round(START * 1e9), "bytes": 3}]
    assert compute(row(device=waiting, verifier=waiting)) == (0, 0, 10)


seconds = st.integers(-3, 13)
spans = st.lists(st.tuples(seconds, seconds).map(sorted), max_size=8)


@settings(deadline=None)
@given(device=spans, verifier=spans)
def test_times_are_those_of_a_clock_that_ticks_once_a_second(device, verifier):
    def ticks(some):
        return {tick for begin, end in some for tick in range(max(begin, 0), min(end, 10))}

    got = row(
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
    got = row(device=sent, verifier=sent)
    assert (got.downlink_payload_bits, got.downlink_message_bytes) == (40, 35)


def test_wire_bytes_are_those_of_the_devices_own_links():
    got = row()
    assert (got.uplink_wire_bytes, got.downlink_wire_bytes) == (1111, 2222)
    assert row(own_links=["backhaul"]).uplink_wire_bytes == 3333
    both = row(own_links=["radio", "backhaul"])
    assert (both.uplink_wire_bytes, both.downlink_wire_bytes) == (4444, 6666)
    assert got.links == LINKS


def test_the_distance_to_the_quantised_target_is_a_mean_over_positions():
    events = [{"event": "quantise_target", "t": 0, "tv": tv} for tv in (0.1, 0.3, 0.2)]
    assert row(verifier=events).target_tv == pytest.approx(0.2)
    assert row().target_tv is None


def test_texts_decoded_together_take_from_the_first_start_to_the_last_end():
    def at(start, seconds, prompt=0, name="device1", repeat=0):
        return msgspec.structs.replace(
            row(), prompt=prompt, device=name, start_s=start, seconds=seconds, repeat=repeat
        )

    rows = [at(100, 2), at(101, 4, name="device2"), at(200, 1, 1), at(300, 3, repeat=1)]
    assert aggregate_seconds(rows) == 5 + 1 + 3
    assert aggregate_speed(rows) == 16 / 9
    assert (row().device, row().start_s) == ("device", START)
    assert row(name="device7").device == "device7"


def test_the_shortest_text_is_read_back_and_has_a_speed_however_late_it_began():
    """A fast machine takes 50 µs for a token, and less in dilated time."""
    short = msgspec.structs.replace(row(), tokens=1, seconds=SHORTEST, start_s=1e9)
    read = msgspec.json.decode(msgspec.json.encode(short), type=Row)
    assert read.seconds == SHORTEST < 50e-6 / LARGEST_DILATION
    assert 0 < aggregate_speed([read]) < 1e9
