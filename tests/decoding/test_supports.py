"""Supports that truncation keeps, against the definition by sorting; ties and extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.decoding.supports import at_least, top_k, top_p
from tests.support.strategies import exact_with_ties


def by_likelihood(q) -> list[int]:
    """Ids from the likeliest on; among equals the lowest first."""
    return sorted(range(q.size), key=lambda i: (-q[i], i))


@settings(max_examples=200, deadline=None)
@given(exact_with_ties(), st.data())
def test_top_k(q, data):
    k = data.draw(st.integers(1, q.size))
    assert top_k(q, k).tolist() == sorted(by_likelihood(q)[:k])


def test_top_k_of_equals_are_the_lowest_ids():
    assert top_k(np.full(5, 0.2), 3).tolist() == [0, 1, 2]
    assert top_k(np.array([0.1, 0.3, 0.3, 0.3]), 2).tolist() == [1, 2]


@pytest.mark.parametrize("k", [0, -1, 6])
def test_top_k_refuses_what_there_is_not(k):
    with pytest.raises(ValueError, match=f"K is {k}; it must be from 1 to the vocabulary's 5"):
        top_k(np.full(5, 0.2), k)


@settings(max_examples=200, deadline=None)
@given(exact_with_ties(), st.sampled_from([1 / 64, 0.25, 0.5, 0.75, 63 / 64, 1.0]))
def test_top_p(q, mass):
    order, kept = by_likelihood(q), []
    while sum(q[kept]) < mass * q.sum():
        kept.append(order[len(kept)])
    assert top_p(q, mass).tolist() == sorted(kept)


@pytest.mark.parametrize("mass", [0, -0.5, 1.5, float("nan")])
def test_top_p_refuses_what_is_no_mass(mass):
    with pytest.raises(ValueError, match="it must be above 0 and at most 1"):
        top_p(np.full(5, 0.2), mass)


@settings(max_examples=200, deadline=None)
@given(exact_with_ties(), st.sampled_from([-1.0, 0.0, 1 / 64, 2 / 64, 0.25, 0.5, 2.0]))
def test_at_least(q, threshold):
    kept = [i for i in range(q.size) if q[i] >= threshold] or by_likelihood(q)[:1]
    assert at_least(q, threshold).tolist() == kept


def test_at_least_keeps_the_threshold_itself_and_everything_at_0():
    q = np.array([0.5, 0.0, 0.25, 0.25])
    assert at_least(q, 0.25).tolist() == [0, 2, 3]
    assert at_least(q, 0.0).tolist() == [0, 1, 2, 3]
    assert at_least(q, -1e-9).tolist() == [0, 1, 2, 3]
    assert at_least(q[1:], 0.3).tolist() == [1]
