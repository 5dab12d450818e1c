"""Payload bits of QS, K-SQS and C-SQS, round by round, against the fewest possible and the papers'
formulas."""

from __future__ import annotations

from math import ceil, comb, log2

import numpy as np
import pytest

from testbed.errors import TestbedError
from testbed.methods.base import method_class, parse_options
from tests.support.options import refusal
from tests.support.toy import PROMPT, decode_locally, models, task
from tests.support.wire import B_ID, V, decode_noting

TOKENS = 60
LENGTHS = [1, 2, 4, 7]


def decode_reading(method, options):
    """Decode one text; beside it what crossed the line, and the drafts that were read of it."""
    decoded, line = decode_noting(task(method, TOKENS, **options))
    kind = method_class(method)
    codec = kind(parse_options(kind, options, method), V).codec
    return decoded, line, [codec.decode(up, message.drafts) for message, up in line.rounds]


def fewest_bits(method, options, q) -> float:
    """log2 of the number of messages of one draft, of those that begin alike."""
    total, k = options["lattice"], q.support.size
    if options.get("index") == "simplex":
        return log2(comb(total + V - 1, V - 1)) + log2(V)
    if method == "qs":
        return log2(min(total, V)) + log2(comb(V, k) * comb(total - 1, k - 1) * k)
    told = log2(V) if method == "csqs" else 0.0
    return told + log2(comb(V, k) * comb(total + k - 1, k - 1) * k)


def papers_bits(method, options, q) -> float:
    """Per draft, by the papers' formulas; QS's code adds 16 where this adds b_id."""
    total, k = options["lattice"], q.support.size
    if method == "qs":
        return ceil(log2(comb(total + V - 1, V - 1))) + B_ID
    told = B_ID if method == "csqs" else 0
    return log2(comb(V, k)) + log2(comb(total + k - 1, k - 1)) + ceil(log2(k)) + told


CASES = [
    ("qs", {"lattice": 240}),
    ("qs", {"lattice": 240, "index": "simplex"}),
    ("qs", {"lattice": 9}),
    ("qs", {"lattice": 9, "index": "simplex"}),
    ("ksqs", {"lattice": 100, "top_k": 8}),
    ("ksqs", {"lattice": 10, "top_k": 37}),
    ("ksqs", {"lattice": 100, "top_k": 1}),
    ("csqs", {"lattice": 100, "alpha": 0.05, "eta": 0.05, "first_threshold": 0.05}),
    ("csqs", {"lattice": 20}),
]


@pytest.mark.parametrize(("method", "options"), CASES, ids=str)
@pytest.mark.parametrize("gamma", LENGTHS)
def test_every_round(gamma, method, options, sent_bits):
    decoded, line, rounds = decode_reading(method, {"draft_length": gamma, **options})
    drafts = line.drafts
    assert gamma in drafts
    assert all(not message.catch_up for message, _ in line.rounds)
    formula = 0.0
    for drawn, bits, up in zip(rounds, sent_bits["device"], line.up, strict=True):
        fewest = sum(fewest_bits(method, options, each.q) for each in drawn)
        papers = sum(papers_bits(method, options, each.q) for each in drawn)
        assert fewest - 1e-6 <= bits <= fewest + 8
        assert len(up) == ceil(bits / 8)
        # One number for the round: never more than the papers say but for its own rounding; QS's
        # form by support tells its size besides, in vain where a toy vocabulary is kept whole.
        told = log2(min(options["lattice"], V)) if method == "qs" and "index" not in options else 0
        assert bits <= papers + told * len(drawn) + 2
        formula += fewest if method == "qs" and "index" not in options else papers
    assert decoded.counts.formula_bits == pytest.approx(formula, abs=1e-6)
    assert decoded.traffic.up_payload_bits == len(PROMPT) * B_ID + sum(sent_bits["device"])
    assert sent_bits["verifier"] == [B_ID + ceil(log2(g + 1)) for g in drafts]
    for g, down in zip(drafts, line.down, strict=True):
        assert len(down) == ceil((B_ID + ceil(log2(g + 1))) / 8)


def test_csqs_tells_sizes_that_change(sent_bits):
    """The case above is no K-SQS in disguise."""
    _, _, rounds = decode_reading("csqs", {"draft_length": 4, **CASES[7][1]})
    sizes = {each.q.support.size for drawn in rounds for each in drawn}
    assert len(sizes) > 4


@pytest.mark.parametrize(
    ("method", "options"),
    [("ksqs", {"lattice": 100, "top_k": 8}), ("csqs", {"lattice": 100, "first_threshold": 0.05})],
    ids=str,
)
def test_the_budget_sets_the_draft_length(method, options, sent_bits):
    """L = max{L: Σ b_n <= B}, with at least one draft and at most 16."""
    budget = 200
    policy = {"policy": "bit_budget", "bits": budget}
    _, line, rounds = decode_reading(method, {"draft_length": policy, **options})
    left = TOKENS + len(PROMPT)
    lengths = set()
    for drawn, (message, _) in zip(rounds, line.rounds, strict=True):
        spent = [papers_bits(method, options, each.q) for each in drawn]
        assert sum(spent) <= budget or len(drawn) == 1
        lengths.add(len(drawn))
        if method == "ksqs" and len(drawn) < left - message.base - 1:
            assert sum(spent) + spent[0] > budget
    assert max(lengths) > 1


def test_defaults():
    for method in ("ksqs", "csqs"):
        kind = method_class(method)
        options = parse_options(kind, {}, "x")
        assert (options.draft_length.bits, options.lattice) == (5000, 100)
    assert (options.alpha, options.eta, options.first_threshold) == (5e-4, 1e-3, 1e-3)
    options = parse_options(method_class("qs"), {}, "x")
    assert (options.draft_length, options.lattice, options.index) == (4, 240, "support")


BAD = [
    ("qs", {"lattice": 0}, "x.lattice: 0: expected `int` >= 1"),
    ("qs", {"lattice": 2**24 + 1}, "x.lattice: 16777217: expected `int` <= 16777216"),
    ("qs", {"lattice": 1.5}, "x.lattice: 1.5: expected `int | list`"),
    ("qs", {"index": "dense"}, "x.index: 'dense': choose from simplex, support"),
    ("qs", {"top_k": 3}, "x.top_k: unknown key; allowed are draft_length, lattice, index"),
    ("ksqs", {"top_k": 0}, "x.top_k: 0: expected `int` >= 1"),
    ("ksqs", {"lattice": -1}, "x.lattice: -1: expected `int` >= 1"),
    ("csqs", {"alpha": 0}, "x.alpha: 0: expected `float` > 0"),
    ("csqs", {"alpha": 1}, "x.alpha: 1: expected `float` < 1"),
    ("csqs", {"eta": 0.0}, "x.eta: 0.0: expected `float` > 0"),
    ("csqs", {"eta": float("inf")}, "x.eta: inf: expected `float` <= 1"),
    ("csqs", {"eta": float("nan")}, "x.eta: nan: expected"),
    ("csqs", {"first_threshold": -0.1}, "x.first_threshold: -0.1: expected `float` >= 0"),
    ("csqs", {"first_threshold": 1.1}, "x.first_threshold: 1.1: expected `float` <= 1"),
    ("csqs", {"top_k": 3}, "x.top_k: unknown key; allowed are draft_length, alpha, eta, first_"),
]


@pytest.mark.parametrize(("method", "options", "message"), BAD, ids=str)
def test_bad_options_are_refused_in_one_sentence(method, options, message):
    assert refusal(method, options).startswith(message)


@pytest.mark.parametrize("end", ["device", "verifier"])
def test_more_tokens_than_there_are_are_refused_at_both_ends(monkeypatch, end):
    the_task = task("ksqs", 5, top_k=V + 1)
    if end == "verifier":  # it gets the options by wire, and looks for itself
        kind = method_class("ksqs")
        make = kind.make_codec
        codecs = iter([parse_options(kind, {"top_k": V}, "x")])

        def only_the_first(self):
            self.options = next(codecs, self.options)
            return make(self)

        monkeypatch.setattr(kind, "make_codec", only_the_first)
    refused = "" if end == "device" else ".* refused: "
    with pytest.raises(TestbedError, match=f"^{refused}top_k is 38; it must be at most the voc"):
        decode_locally(the_task, *models(V))


def test_a_small_vocabulary_is_kept_whole_by_default():
    kind = method_class("ksqs")
    codec = kind(parse_options(kind, {}, "x"), V).codec
    assert codec.quantise(np.full(V, 1 / V)).support.size == V
