"""The acceptance rule: strictness, guards, residual."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.decoding.acceptance import acceptance_probability, accepted_prefix, residual
from testbed.decoding.randomness import KeyedRandomness


class Fixed(KeyedRandomness):
    """The same uniform for everything; notes the positions it was asked for."""

    def __init__(self, u: float) -> None:
        super().__init__(0, 0, "")
        self.u = u
        self.positions: list[int] = []

    def uniform(self, role, position):
        self.positions.append(position)
        return self.u


@pytest.mark.parametrize(
    ("p", "q", "wanted"), [(0.2, 0.4, 0.5), (0.4, 0.2, 1), (0.3, 0.3, 1), (0, 0.1, 0)]
)
def test_the_ratio_is_p_over_q_and_at_most_1(p, q, wanted):
    assert acceptance_probability(p, q) == wanted


@pytest.mark.parametrize("q", [0.0, -0.1, float("nan")])
def test_a_token_that_cannot_have_been_drawn_is_refused(q):
    with pytest.raises(ValueError, match="it cannot have been drawn from q̂"):
        acceptance_probability(0.5, q)


def test_probability_0_is_not_accepted_even_by_the_smallest_uniform():
    assert not Fixed(0.0).accept(0.0, 1)
    assert accepted_prefix([0.5], lambda i: 0.0, Fixed(0.0), 0) == 0


def test_probability_1_is_accepted_even_by_the_largest_uniform():
    assert Fixed(1 - 2**-53).accept(1.0, 1)
    assert accepted_prefix([0.5], lambda i: 0.5, Fixed(1 - 2**-53), 0) == 1


def test_acceptance_is_strict():
    assert not Fixed(0.25).accept(0.25, 0)
    assert Fixed(0.25).accept(np.nextafter(0.25, 1), 0)


def test_the_prefix_ends_at_the_first_rejection_and_looks_no_further():
    p = [0.5, 0.0, 0.5]
    asked = []

    def at(i):
        asked.append(i)
        return p[i]

    random = Fixed(0.6)
    assert accepted_prefix([0.5, 0.5, 0.5], at, random, 10) == 1
    assert asked == [0, 1]
    assert random.positions == [10, 11]
    assert accepted_prefix([], at, random, 10) == 0


weights = st.lists(st.sampled_from([0.0, 1e-9, 0.1, 0.3, 1.0]), min_size=6, max_size=6).filter(any)


@settings(deadline=None)
@given(weights, weights)
def test_the_residual_is_what_p_has_more_than_q(p, q):
    p, q = np.array(p) / sum(p), np.array(q) / sum(q)
    got = residual(p, q)
    assert got.sum() == pytest.approx(1, abs=1e-12)
    if (p > q).any():
        assert not got[p <= q].any()
        assert got * np.maximum(p - q, 0).sum() == pytest.approx(np.maximum(p - q, 0), abs=1e-15)
        # Accepted and resampled together: the law of the target.
        reached = np.minimum(p, q).sum()
        assert np.minimum(p, q) + (1 - reached) * got == pytest.approx(p, abs=1e-12)


def test_an_empty_residual_is_p():
    p = np.array([0.25, 0.75])
    assert residual(p, p.copy()).tolist() == p.tolist()
    assert residual(p, np.nextafter(p, 1)).tolist() == p.tolist()
