"""Payload bits of each method against the papers' formulas, round by round."""

from __future__ import annotations

from math import ceil, log2

import pytest

from testbed.codecs.bits import BitReader
from tests.support.toy import PROMPT, task
from tests.support.wire import B_ID, Line, V, decode_noting

TOKENS = 60
LENGTHS = [1, 2, 3, 4, 7]
B_P = {"fixed16": 16, "fixed32": 32}


def accepted(line: Line) -> list[int]:
    """Return the accepted drafts of each round, from the first field of each reply."""
    return [
        BitReader(down).read(ceil(log2(drafts + 1)))
        for drafts, down in zip(line.drafts, line.down, strict=True)
    ]


@pytest.mark.parametrize("precision", B_P)
@pytest.mark.parametrize("gamma", LENGTHS)
def test_dsd(gamma, precision, sent_bits):
    b_p = B_P[precision]
    decoded, line = decode_noting(task("dsd", TOKENS, draft_length=gamma, precision=precision))
    drafts = line.drafts
    assert gamma in drafts
    assert all(not message.catch_up for message, _ in line.rounds)
    assert sent_bits["device"] == [g * (B_ID + V * b_p) for g in drafts]
    assert sent_bits["verifier"] == [B_ID + ceil(log2(g + 1)) for g in drafts]
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])
    for g, up, down in zip(drafts, line.up, line.down, strict=True):
        assert len(up) == g * V * b_p // 8 + ceil(g * B_ID / 8)
        assert len(down) == ceil((B_ID + ceil(log2(g + 1))) / 8)


@pytest.mark.parametrize(
    ("precision", "target_precision"), [(each, each) for each in B_P] + [("fixed16", "fixed32")]
)
@pytest.mark.parametrize("gamma", LENGTHS)
def test_dssd(gamma, precision, target_precision, sent_bits):
    decoded, line = decode_noting(
        task(
            "dssd",
            TOKENS,
            draft_length=gamma,
            precision=precision,
            target_precision=target_precision,
        )
    )
    drafts = line.drafts
    rejected = [a < g for a, g in zip(accepted(line), drafts, strict=True)]
    assert {True, False} == set(rejected)
    assert sum(rejected) == decoded.counts.verified - decoded.counts.accepted

    after_rejection = [False, *rejected[:-1]]
    assert [len(message.catch_up) for message, _ in line.rounds] == after_rejection
    assert sent_bits["device"] == [
        g * (B_ID + B_P[precision]) + B_ID * late
        for g, late in zip(drafts, after_rejection, strict=True)
    ]
    downlink = [
        ceil(log2(g + 1)) + (V * B_P[target_precision] if reject else B_ID)
        for g, reject in zip(drafts, rejected, strict=True)
    ]
    assert sent_bits["verifier"] == downlink
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])
    for g, up in zip(drafts, line.up, strict=True):
        assert len(up) == ceil(g * (B_ID + B_P[precision]) / 8)  # without the catch-up
    for g, reject, down in zip(drafts, rejected, line.down, strict=True):
        head = ceil(log2(g + 1))
        wanted = (
            ceil(head / 8) + V * B_P[target_precision] // 8 if reject else ceil((head + B_ID) / 8)
        )
        assert len(down) == wanted


def test_cloud_ar_sends_the_prompt_up_and_ids_down(sent_bits):
    decoded, line = decode_noting(task("cloud_ar", TOKENS))
    ((_, opening),) = line.openings
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID
    assert len(opening) == ceil(len(PROMPT) * B_ID / 8)
    assert sent_bits == {"device": [0], "verifier": [B_ID] * TOKENS}


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_counts_agree_with_what_crossed_the_line(method):
    decoded, line = decode_noting(task(method, TOKENS, draft_length=3))
    assert decoded.counts.rounds == len(line.rounds)
    assert decoded.counts.drafted == sum(line.drafts)
    assert decoded.counts.accepted == sum(accepted(line))
    assert decoded.counts.accepted + decoded.counts.rounds == TOKENS


@pytest.mark.parametrize("gamma", [1, 4, 1000])
@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_no_more_is_drafted_than_can_be_used(method, gamma):
    _, line = decode_noting(task(method, TOKENS, draft_length=gamma))
    for message, _ in line.rounds:
        known = message.base + len(message.catch_up)
        left = len(PROMPT) + TOKENS - known
        assert message.drafts == min(gamma, left - 1)  # the verifier adds one of its own
