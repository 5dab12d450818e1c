"""Payload bits of tslt and tslt_tree, round by round."""

from __future__ import annotations

from math import ceil, comb, log2

import pytest

from testbed.codecs.bits import width
from testbed.codecs.token_tree import Tree, TreeCodec
from testbed.codecs.truncated import Truncated
from testbed.codecs.verification import read_verification
from testbed.decoding.sampling import Sampling
from tests.support.toy import PROMPT, task
from tests.support.wire import B_ID, Line, V, decode_noting

TOKENS = 60
B_P = {"fp16": 16, "int8": 8}
KEPT = [{"top_k": 5}, {"top_p": 0.8}]
FORMS = ["plain", "ranked"]
SHAPES = [[1], [4], [3, 2, 1], [1, 1, 1, 1], [2, 2, 2]]


def formula(q, most: int, b_p: int, candidates: list[int], index: str) -> float:
    """Return the bits of n below `most`, n values, n ids, and each candidate below its radix."""
    n = q.support.size
    if index == "plain":
        return width(most) + n * (b_p + B_ID) + sum(width(radix) for radix in candidates)
    return log2(most) + n * b_p + log2(comb(V, n)) + sum(log2(radix) for radix in candidates)


def check(bits: list[int], wanted: list[float], index: str) -> None:
    if index == "plain":
        assert bits == wanted
    else:
        assert all(w - 1e-6 <= b <= w + 8 for b, w in zip(bits, wanted, strict=True))


@pytest.mark.parametrize("index", FORMS)
@pytest.mark.parametrize("values", B_P)
@pytest.mark.parametrize("kept", KEPT, ids=str)
@pytest.mark.parametrize("gamma", [1, 4])
def test_tslt(gamma, kept, values, index, sent_bits):
    options = {**kept, "values": values, "index": index}
    decoded, line = decode_noting(task("tslt", TOKENS, draft_length=gamma, **options))
    codec = Truncated(V, **options)
    rounds = [codec.decode(up, drafts) for drafts, up in zip(line.drafts, line.up, strict=True)]
    wanted = [
        sum(
            formula(d.q, kept.get("top_k", V), B_P[values], [d.q.support.size], index)
            for d in drafts
        )
        for drafts in rounds
    ]
    check(sent_bits["device"], wanted, index)
    assert [len(up) for up in line.up] == [ceil(bits / 8) for bits in sent_bits["device"]]
    assert sent_bits["verifier"] == [B_ID + width(len(drafts) + 1) for drafts in rounds]
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])
    sizes = [draft.q.support.size for drafts in rounds for draft in drafts]
    assert decoded.counts.formula_bits == sum(B_ID + n * (B_P[values] + B_ID) for n in sizes)


def trees(line: Line, branches: list[int], replacement: bool, codec: Truncated) -> list[Tree]:
    """Return the tree of each round, decoded from the messages."""
    result = []
    for message, up in line.rounds:
        known = message.base + len(message.catch_up)
        room = len(PROMPT) + TOKENS - known - 1
        result.append(TreeCodec(codec, replacement).decode(up, message.drafts, branches[:room], ()))
    return result


@pytest.mark.parametrize("index", FORMS)
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("kept", KEPT, ids=str)
@pytest.mark.parametrize("branches", SHAPES, ids=str)
def test_tslt_tree(branches, kept, replacement, index, sent_bits):
    options = {**kept, "index": index}
    decoded, line = decode_noting(
        task("tslt_tree", TOKENS, branches=branches, replacement=replacement, **options)
    )
    rounds = trees(line, branches, replacement, Truncated(V, **options))
    wanted, paper = [], 0
    for tree in rounds:
        bits = 0.0
        for node in tree:
            if node.q is None:
                continue
            n, k = node.q.support.size, len(node.candidates)
            radices = [n] * k if replacement else list(range(n, n - k, -1))
            bits += formula(node.q, kept.get("top_k", V), 16, radices, index)
            paper += n * (16 + B_ID) + k * B_ID
        wanted.append(bits)
    check(sent_bits["device"], wanted, index)
    assert decoded.counts.formula_bits == paper
    assert sent_bits["verifier"] == [B_ID + width(len(tree)) for tree in rounds]
    assert [len(up) for up in line.up] == [ceil(bits / 8) for bits in sent_bits["device"]]
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("branches", SHAPES, ids=str)
def test_counts_of_a_tree_agree_with_what_crossed_the_line(branches, replacement):
    decoded, line = decode_noting(
        task("tslt_tree", TOKENS, branches=branches, replacement=replacement, top_k=5)
    )
    accepted = verified = 0
    rounds = trees(line, branches, replacement, Truncated(V, top_k=5))
    for tree, down in zip(rounds, line.down, strict=True):
        number, _ = read_verification(down, len(tree) - 1, V)
        path = tree[number].path
        accepted += len(path)
        verified += len(path) + bool(tree[number].candidates)
    counts = decoded.counts
    assert counts.rounds == len(line.rounds)
    assert counts.drafted == sum(line.drafts)
    assert (counts.accepted, counts.verified) == (accepted, verified)
    assert counts.rejections == verified - accepted
    assert counts.draft_passes == sum(node.q is not None for tree in rounds for node in tree)
    assert counts.accepted <= counts.verified <= counts.drafted
    assert counts.accepted + counts.rounds == TOKENS


@pytest.mark.parametrize("method", ["tslt", "tslt_tree"])
def test_a_greedy_draft_sends_one_token_of_its_320(method, sent_bits):
    options = {"draft_length": 3} if method == "tslt" else {"branches": [1, 1, 1]}
    _, line = decode_noting(task(method, TOKENS, Sampling(temperature=0), **options))
    wanted = [drafts * (width(V) + 16 + B_ID) for drafts in line.drafts]
    assert sent_bits["device"] == wanted
