"""One row from a result, events and the links' counters."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

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
        backend="relay",
    )


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


def test_wire_bytes_are_those_of_the_devices_own_links():
    got = row()
    assert (got.uplink_wire_bytes, got.downlink_wire_bytes) == (1111, 2222)
    assert row(own_links=["backhaul"]).uplink_wire_bytes == 3333
    both = row(own_links=["radio", "backhaul"])
    assert (both.uplink_wire_bytes, both.downlink_wire_bytes) == (4444, 6666)
    assert got.links == LINKS


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
