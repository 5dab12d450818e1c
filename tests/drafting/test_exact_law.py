"""No policy changes what the text is distributed like, whatever it looks at.

A policy sees the drafts, also those that are discarded later, and the clock. Each of its decisions
is made before the draw it is about, and no uniform is used again, so the law is the target's. The
clock runs by a script here, for every path alike.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest

from testbed.codecs.fixed_point import FixedPoint
from testbed.drafting.base import DraftLength
from testbed.methods import base
from testbed.methods.base import method_class, parse_options
from testbed.methods.device_context import DeviceContext
from tests.support.enumeration import Branching
from tests.support.laws import round_law_error, scripted_clocks, text_law_error
from tests.support.toy import models, task

METHODS = ["dsd", "dssd"]
POLICIES = {
    "fixed": 2,
    "bit_budget": {"policy": "bit_budget", "bits": 40, "longest": 3},
    "confidence": {"policy": "confidence", "threshold": 0.5, "longest": 3},
    "product": {"policy": "confidence", "threshold": 0.3, "product": True, "longest": 3},
    "heuristic": {"policy": "heuristic", "first": 2, "longest": 3},
    "lambert": {"policy": "lambert", "acceptance": 0.8, "longest": 3},
    "alone": {"policy": "lambert", "acceptance": 0.1, "longest": 3},
    "measured_acceptance": {"policy": "lambert", "measure": "acceptance", "longest": 3},
    "ucb": {"policy": "ucb", "longest": 3, "exploration": 0.0},
}


def wire(method: str):
    """Return the rounding of the target's distributions; None where there is none."""
    return FixedPoint("fixed16").quantise if method == "dssd" else None


def test_every_policy_is_here():
    known = {"fixed", "bit_budget", "confidence", "heuristic", "lambert", "ucb"}
    assert known <= set(POLICIES)
    for policy in POLICIES.values():
        parse_options(method_class("dsd"), {"draft_length": policy}, "x")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("v", [3, 4])
def test_one_round(method, policy, v):
    the_task = task(method, 4, draft_length=POLICIES[policy])
    assert round_law_error(the_task, *models(v), 4, wire(method)) < 1e-12


class Spy(DraftLength):
    """Notes the lengths of the drafts of each round."""

    def __init__(self, policy: DraftLength) -> None:
        self.policy = policy
        self.lengths: list[int] = []

    def more(self, drafts):
        return self.policy.more(drafts)

    def admits(self, drafts, bits):
        return self.policy.admits(drafts, bits)

    def learn(self, outcome):
        self.lengths.append(outcome.drafted)
        self.policy.learn(outcome)


def spied_law_error(method, tokens, start, randomness=Branching, option=2):
    """Largest error of the law of whole texts, and all sequences of draft lengths.

    `start` makes the policy from what it would have been; `randomness` stands in for Branching.
    """
    seen = set()
    real = base.start_policy

    @contextmanager
    def spying():
        spies: list[Spy] = []

        def start_spied(option):
            spies.append(Spy(start(real(option))))
            return spies[-1]

        with patch.object(base, "start_policy", start_spied), scripted_clocks():
            yield
        seen.add(tuple(spies[0].lengths))

    the_task = task(method, tokens, draft_length=option)
    with patch("tests.support.enumeration.Branching", randomness):
        return text_law_error(the_task, *models(2), wire(method), around=spying), seen


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("method", METHODS)
def test_whole_texts(method, policy):
    """No induction: what a policy learns in one round decides on the next ones."""
    error, lengths = spied_law_error(method, 4, lambda each: each, option=POLICIES[policy])
    assert error < 1e-12
    if policy not in ("fixed", "bit_budget", "alone"):
        assert len({n for each in lengths for n in each}) > 1


class Adversary(DraftLength):
    """Drafts by what the drafts were that nobody will ever see."""

    def __init__(self) -> None:
        self.length = 3
        self.drafts = []

    def more(self, drafts):
        self.drafts = list(drafts)
        return len(drafts) < self.length

    def learn(self, outcome):
        discarded = [draft.token for draft in self.drafts[outcome.accepted + 1 :]]
        self.length = 3 * discarded[0] if discarded else 3


class Reusing(Branching):
    """Drafts a position by the same uniform in every round, as the mistake would be."""

    def __init__(self, script) -> None:
        super().__init__(script)
        self.between: dict[int, tuple[float, float]] = {}
        """Where the uniform of a position lies, by what was drawn with it."""

    def choose(self, weights, role, position, *which):
        if role != "draft":
            return super().choose(weights, role, position, *which)
        low, high = self.between.get(position, (0.0, 1.0))
        edges = np.concatenate([[0.0], np.cumsum(weights) / np.sum(weights)])
        starts, ends = np.maximum(edges[:-1], low), np.minimum(edges[1:], high)
        index = self._branch(list(np.maximum(ends - starts, 0) / (high - low)))
        self.between[position] = (starts[index], ends[index])
        return index


@pytest.mark.parametrize("method", METHODS)
def test_a_policy_that_looks_at_discarded_drafts_is_harmless(method):
    error, lengths = spied_law_error(method, 5, lambda _: Adversary())
    assert error < 1e-12
    assert {n for each in lengths for n in each[:-1]} >= {0, 3}


@pytest.mark.parametrize("method", METHODS)
def test_it_would_not_be_if_a_draft_were_dropped_for_what_it_is(method):
    """The control: every stop must be decided before the token is drawn."""
    propose = DeviceContext.propose

    def peeking(*arguments):
        drafts = yield from propose(*arguments)
        return drafts if drafts and drafts[-1].token else drafts[:-1]

    with patch.object(DeviceContext, "propose", peeking):
        error, _ = spied_law_error(method, 3, lambda each: each)
    assert error > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_it_would_not_be_if_uniforms_were_used_again(method):
    """The control: with one length only, reuse does not show; with such a policy it does."""
    error, _ = spied_law_error(method, 4, lambda each: each, Reusing, option=3)
    assert error < 1e-12
    error, _ = spied_law_error(method, 5, lambda _: Adversary(), Reusing)
    assert error > 1e-3
