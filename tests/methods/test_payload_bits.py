"""What each method sends, bit by bit: the papers' formulas, round by round."""

from __future__ import annotations

from math import ceil, log2

import pytest

from testbed.codecs.bits import BitReader
from testbed.traces.events import Tracer
from testbed.transport.inprocess import InProcessChannel
from testbed.transport.messages import Open, Reply, Round, from_frames
from tests.toy import ToyModel, decode_locally, task

V, B_ID = 37, 6
TOKENS = 60
PROMPT = (0, 1, 2)
LENGTHS = [1, 2, 3, 4, 7]
B_P = {"fixed16": 16, "fixed32": 32}


def similar_models() -> tuple[ToyModel, ToyModel]:
    """Draft and target that agree often, so that every kind of round comes up."""
    draft, target = ToyModel(V, 1), ToyModel(V, 2)
    draft.table = target.table + 0.5 * draft.table
    return draft, target


class Line(InProcessChannel):
    """Notes every message of both directions."""

    def __init__(self, server):
        super().__init__(server)
        self.rounds: list[tuple[Round, bytes]] = []
        self.replies: list[tuple[Reply, bytes]] = []
        self.opened: list[bytes] = []

    def send(self, frames):
        message, payload = from_frames(frames)
        if isinstance(message, Round):
            self.rounds.append((message, payload))
        elif isinstance(message, Open):
            self.opened.append(payload)
        super().send(frames)

    def receive(self, timeout):
        frames = super().receive(timeout)
        message, payload = from_frames(frames)
        if isinstance(message, Reply):
            self.replies.append((message, payload))
        return frames


@pytest.fixture
def sent_bits(monkeypatch):
    """Payload bits of each round's upload and each download, as the traces tell."""
    bits = {"device": [], "verifier": []}

    def event(self, name, stream, **fields):
        if name == "send" and fields.get("message", "Reply") in ("Round", "Reply"):
            bits[self._node].append(fields["payload_bits"])

    monkeypatch.setattr(Tracer, "event", event)
    return bits


def decode_noting(the_task):
    lines = []

    def channel(server):
        lines.append(Line(server))
        return lines[0]

    decoded = decode_locally(the_task, *similar_models(), channel=channel, prompt=PROMPT)
    assert len(decoded.tokens) == TOKENS
    return decoded, lines[0]


def accepted(line: Line) -> list[int]:
    """Accepted drafts of each round, from the first field of each reply."""
    return [
        BitReader(payload).read(ceil(log2(message.drafts + 1)))
        for (message, _), (_, payload) in zip(line.rounds, line.replies, strict=True)
    ]


@pytest.mark.parametrize("precision", B_P)
@pytest.mark.parametrize("gamma", LENGTHS)
def test_dsd(gamma, precision, sent_bits):
    b_p = B_P[precision]
    decoded, line = decode_noting(task("dsd", TOKENS, draft_length=gamma, precision=precision))
    drafts = [message.drafts for message, _ in line.rounds]
    assert gamma in drafts
    assert all(not message.catch_up for message, _ in line.rounds)
    assert sent_bits["device"] == [g * (B_ID + V * b_p) for g in drafts]
    assert sent_bits["verifier"] == [B_ID + ceil(log2(g + 1)) for g in drafts]
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])
    for g, (_, up), (_, down) in zip(drafts, line.rounds, line.replies, strict=True):
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
    drafts = [message.drafts for message, _ in line.rounds]
    rejected = [a < g for a, g in zip(accepted(line), drafts, strict=True)]
    assert {True, False} == set(rejected)
    assert sum(rejected) == decoded.counts.tested - decoded.counts.accepted

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
    for g, (_, up) in zip(drafts, line.rounds, strict=True):
        assert len(up) == ceil(g * (B_ID + B_P[precision]) / 8)  # without the catch-up
    for g, reject, (_, down) in zip(drafts, rejected, line.replies, strict=True):
        head = ceil(log2(g + 1))
        wanted = (
            ceil(head / 8) + V * B_P[target_precision] // 8 if reject else ceil((head + B_ID) / 8)
        )
        assert len(down) == wanted


def test_cloud_ar_sends_the_prompt_up_and_ids_down(sent_bits):
    decoded, line = decode_noting(task("cloud_ar", TOKENS))
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID == len(line.opened[0]) * 8 - 6
    assert sent_bits == {"device": [0], "verifier": [B_ID] * TOKENS}


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_counts_agree_with_what_crossed_the_line(method):
    decoded, line = decode_noting(task(method, TOKENS, draft_length=3))
    assert decoded.counts.rounds == len(line.rounds)
    assert decoded.counts.drafted == sum(message.drafts for message, _ in line.rounds)
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
