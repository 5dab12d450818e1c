"""Every method that drafts takes every policy, and says what is wrong with a bad one."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.decoding.sampling import Sampling
from testbed.methods.base import methods
from tests.support.options import refusal
from tests.support.toy import PROMPT, decode_locally, similar_models, task

POLICIES = [
    1,
    5,
    {"policy": "bit_budget", "bits": 300, "longest": 5},
    {"policy": "confidence", "threshold": 0.3, "longest": 5},
    {"policy": "confidence", "threshold": 0.3, "product": True},
    {"policy": "heuristic"},
    {"policy": "lambert"},
    {"policy": "ucb", "longest": 4},
]
NEVER = {"policy": "lambert", "acceptance": 0.1, "cost": 0.5, "measure": "nothing"}
DRAFTING = [
    name for name, kind in methods().items() if "draft_length" in kind.Options.__struct_fields__
]


def test_methods_that_draft_are_found():
    assert {"dsd", "dssd"} <= set(DRAFTING)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("method", DRAFTING)
def test_every_method_takes_every_policy(method, policy):
    got = decode_locally(task(method, 60, draft_length=policy), *similar_models(12, 0.3))
    assert len(got.tokens) == 60
    assert 0 < got.counts.accepted <= got.counts.verified <= got.counts.drafted
    assert got.counts.rounds <= 60


@pytest.mark.parametrize("method", DRAFTING)
def test_greedy_drafts_end_where_the_draft_model_is_unsure_of_its_likeliest_token(method):
    draft, target = similar_models(12, 0.3)
    policy = {"policy": "confidence", "threshold": 0.5, "longest": 5}
    greedy = task(method, 60, Sampling(temperature=0), draft_length=policy)
    got = decode_locally(greedy, draft, target)
    text, rounds = list(PROMPT), []
    while len(text) < 2 + 60:
        drafts = []
        while len(drafts) < min(5, 2 + 60 - len(text) - 1):
            logits = draft.after([*text, *drafts]).astype(float)
            drafts.append(int(logits.argmax()))
            if np.exp(logits.max()) / np.exp(logits).sum() < 0.5:
                break
        rounds.append(len(drafts))
        for wanted in [*drafts, None]:
            text.append(int(target.after(text).argmax()))
            if text[-1] != wanted:
                break
    assert got.tokens == text[2:]
    assert got.counts.draft_lengths == [rounds.count(n) for n in range(max(rounds) + 1)]
    assert len(set(rounds)) > 2


@pytest.mark.parametrize("method", DRAFTING)
def test_a_round_without_drafts_is_the_targets_own_token(method):
    got = decode_locally(task(method, 20, draft_length=NEVER), *similar_models(12, 0.3))
    assert len(got.tokens) == 20
    assert (got.counts.rounds, got.counts.drafted, got.counts.verified) == (20, 0, 0)


BAD = [
    ({"policy": "confidence", "threshold": 1.5}, ".threshold: 1.5: expected `float` <= 1.0"),
    ({"policy": "confidence", "threshold": 0}, ".threshold: 0: expected `float` > 0.0"),
    ({"policy": "confidence", "longest": 0}, ".longest: 0: expected `int` >= 1"),
    ({"policy": "confidence", "product": 1}, ".product: 1: expected `bool`, got `int`"),
    (
        {"policy": "confidence", "treshold": 0.4},
        ".treshold: unknown key; allowed are threshold, longest, product",
    ),
    ({"policy": "lambert", "acceptance": 1}, ".acceptance: 1: expected `float` < 1.0"),
    ({"policy": "lambert", "cost": 0}, ".cost: 0: expected `float` > 0.0"),
    (
        {"policy": "lambert", "measure": "all"},
        ".measure: 'all': choose from acceptance, both, cost, nothing",
    ),
    ({"policy": "ucb", "longest": 0}, ".longest: 0: expected `int` >= 1"),
    ({"policy": "ucb", "exploration": -1}, ".exploration: -1: expected `float` >= 0.0"),
    ({"policy": "heuristic", "first": 0}, ".first: 0: expected `int` >= 1"),
    ({"policy": "ucb", "longest": 10**12}, ".longest: 1000000000000: expected `int` <= 4096"),
    ({"policy": "bit_budget", "bits": 2**70}, f".bits: {2**70}: expected `int` <= {2**40}"),
    (10**30, f": {10**30}: expected `int` <= 4096"),
    (
        {"policy": "fixed"},
        ".policy: 'fixed': choose from bit_budget, confidence, heuristic, lambert, ucb",
    ),
]


@pytest.mark.parametrize(("option", "message"), BAD, ids=str)
def test_bad_options_are_refused_in_one_sentence_that_says_what_is_allowed(option, message):
    assert refusal("dsd", {"draft_length": option}) == f"x.draft_length{message}"
