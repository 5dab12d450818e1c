"""Decisions of the simple policies on scripted rounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.codecs.base import Drawn
from testbed.decoding.lattice import quantise
from testbed.drafting.bit_budget import BitBudget
from testbed.drafting.confidence import Confidence
from testbed.drafting.heuristic import Heuristic
from testbed.drafting.policies import start_policy
from tests.drafting.rounds import draft, length, outcome


@pytest.mark.parametrize("gamma", [1, 4, 9])
def test_a_number_is_that_length_in_every_round(gamma):
    policy = start_policy(gamma)
    for accepted in (gamma, 0):
        assert length(policy, [0.01] * gamma, bits=1e9) == gamma
        policy.learn(outcome(gamma, accepted))


@given(
    st.lists(st.floats(0.5, 5000), min_size=1, max_size=40),
    st.integers(1, 6000),
    st.integers(1, 12),
)
def test_the_bit_budget_is_kept_and_used(costs, budget, longest):
    """L = max{L: Σ b_n <= B}, in one round after the other; a single draft may cost more."""
    policy = BitBudget(bits=budget, longest=longest).start()
    while costs:
        drafts = []
        while (
            len(drafts) < len(costs)
            and policy.more(drafts)
            and policy.admits(drafts, costs[len(drafts)])
        ):
            drafts.append(draft(1.0))
        n = len(drafts)
        assert 1 <= n <= longest
        assert n == 1 or sum(costs[:n]) <= budget
        if n < min(longest, len(costs)):
            assert sum(costs[: n + 1]) > budget
        del costs[:n]


@given(
    st.lists(st.floats(0.5, 5000), min_size=1, max_size=40),
    st.integers(1, 6000),
    st.booleans(),
)
def test_the_bit_budget_foresees_what_it_is_not_told(costs, budget, predict):
    """A pass whose bits are not known is not made where neither of the last two would have fitted.

    The budget is kept whatever is foreseen; without foresight, L = max{L: Σ b_n <= B}.
    """
    policy = BitBudget(bits=budget, longest=12, predict=predict).start()
    seen: list[float] = []
    while costs:
        drafts, spent = [], 0.0
        while costs and policy.more(drafts):
            foreseen = min(seen[-2:], default=0.0) if predict else 0.0
            hopeful = not drafts or spent + foreseen <= budget
            assert policy.admits(drafts, None) == hopeful
            if not hopeful:
                break
            seen.append(costs.pop(0))
            fits = not drafts or spent + seen[-1] <= budget
            assert policy.admits(drafts, seen[-1]) == fits
            if not fits:
                break
            spent += seen[-1]
            drafts.append(draft(1.0))


def test_the_heuristic_goes_up_by_two_and_down_by_one():
    """transformers: += 2 when all were accepted, else max(1, - 1)."""
    policy = Heuristic(first=3, longest=8).start()
    lengths = []
    for rejected in (0, 0, 0, 1, 2, 1, 1, 1, 1, 1, 1, 1, 0):
        lengths.append(length(policy))
        policy.learn(outcome(lengths[-1], lengths[-1] - rejected))
    assert lengths == [3, 5, 7, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1]
    assert length(policy) == 3
    assert length(Heuristic(first=9, longest=4).start()) == 4


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        ([0.9, 0.4, 0.5, 0.39, 1, 1], 4),  # the unsure one is sent, too; 0.4 is not below 0.4
        ([0.1, 1, 1], 1),
        ([0.999] * 20, 6),
        ([0.9, 0.9, 0.9, 0.9, 0.9, 0.1], 6),
    ],
)
def test_confidence_in_the_last_token(probabilities, wanted):
    policy = Confidence(threshold=0.4, longest=6).start()
    for _ in range(2):  # nothing is left of the round before
        assert length(policy, probabilities) == wanted


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [([0.8, 0.8, 0.8, 0.8, 0.8], 5), ([0.6, 0.6, 1], 2), ([0.3], 1), ([0.99] * 20, 6)],
)
def test_confidence_in_the_whole_draft(probabilities, wanted):
    policy = Confidence(threshold=0.4, longest=6, product=True).start()
    for _ in range(2):
        assert length(policy, probabilities) == wanted


def test_a_greedy_draft_is_as_sure_as_the_draft_model_is_at_temperature_1():
    greedy = quantise(np.array([1.0, 0.0, 0.0]), 1000)
    for likely in (0.5, 0.6, 0.9):
        logits = np.array([np.log(likely), np.log(1 - likely), -np.inf]) + 3
        drawn = Drawn(0, greedy, logits)
        assert drawn.confidence == pytest.approx(likely)
        assert drawn.probability == Drawn(0, greedy).confidence == 1
