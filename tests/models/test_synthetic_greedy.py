"""Synthetic pairs whose likeliest tokens differ in a given share of contexts."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.config.convert import convert
from testbed.errors import TestbedError
from testbed.models.synthetic import SyntheticModel
from testbed.scenario.schema import SyntheticModels

V = 500
CONTEXTS = [(a, b) for a in range(40) for b in range(50)]


def laws(role, acceptance, greedy):
    """Return the probabilities after each context, float64 [contexts, V]."""
    model = SyntheticModel(V, acceptance, 3, role, greedy_acceptance=greedy)
    each = np.exp(np.stack([model.next_logits(c) for c in CONTEXTS]).astype(np.float64))
    return each / each.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("acceptance", [0.6, 0.8, (0.6, 0.7)])
@pytest.mark.parametrize("greedy", [0, 0.3, 0.8, 1])
def test_that_share_of_contexts_agrees_and_the_overlap_stays(acceptance, greedy):
    p, q = laws("target", acceptance, greedy), laws("draft", acceptance, greedy)
    same = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    assert abs(same - greedy) <= 4 * (greedy * (1 - greedy) / len(CONTEXTS)) ** 0.5
    overlaps = np.minimum(p, q).sum(axis=1)
    wanted = np.atleast_1d(acceptance)
    assert np.abs(overlaps[:, None] - wanted).min(axis=1).max() < 1e-6
    assert overlaps.mean() == pytest.approx(wanted.mean(), abs=0.01)


def test_without_it_the_likeliest_tokens_are_the_same():
    """Without `greedy_acceptance` a draft is always accepted at temperature 0."""
    p, q = laws("target", 0.8, None), laws("draft", 0.8, None)
    assert (p.argmax(axis=1) == q.argmax(axis=1)).all()
    assert np.array_equal(q, laws("draft", 0.8, 1))


def test_target_does_not_depend_on_it():
    assert np.array_equal(laws("target", 0.8, None), laws("target", 0.8, 0.5))


@pytest.mark.parametrize(
    ("acceptance", "greedy", "allowed"),
    [(0.95, 0.9, "1 to 1"), (0.3, 0.5, "0 to 0"), (0.8, 1.5, "0 to 1"), (0.8, -0.1, "0 to 1")],
)
def test_what_no_draft_can_have_is_refused(acceptance, greedy, allowed):
    message = f"'toy' has greedy_acceptance {greedy}; .* {acceptance} allowed is {allowed}"
    for role in ("target", "draft"):
        with pytest.raises(TestbedError, match=message):
            SyntheticModel(V, acceptance, 3, role, name="toy", greedy_acceptance=greedy)


def test_scenario_takes_shares_only():
    given = {"vocabulary_size": 9, "acceptance": 0.8}
    with pytest.raises(TestbedError, match=r"^m.greedy_acceptance: 2: expected `float` <= 1.0"):
        convert({**given, "greedy_acceptance": 2}, SyntheticModels, "m.")
    assert convert({**given, "greedy_acceptance": 0.7}, SyntheticModels, "m.").greedy_acceptance
