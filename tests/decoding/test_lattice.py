"""Distributions on the lattice: Reznik's guarantees, and the exact nearest point."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.decoding.lattice import Lattice, quantise
from tests.support.strategies import distributions, over_magnitudes

TOTALS = st.sampled_from([1, 2, 3, 7, 100, 2**16 - 1, 2**16, 2**32 - 1])


@settings(deadline=None)
@given(over_magnitudes(), TOTALS)
def test_counts_sum_to_the_total_on_the_support_within_the_bound(q, total):
    got = quantise(q, total)
    assert got.counts.dtype == np.int64
    assert got.counts.sum() == got.total == total
    assert (got.counts >= 0).all()
    assert not got.counts[q == 0].any()
    rounding = 1e-12  # q itself is only a double
    assert 0.5 * abs(got.probabilities - q).sum() <= q.size / (4 * total) + rounding
    assert abs(got.counts - q * total).max() < 1 + 1e-6


@settings(deadline=None)
@given(over_magnitudes(), TOTALS)
def test_a_point_of_the_lattice_stays_where_it_is(q, total):
    there = quantise(q, total)
    assert (quantise(there.probabilities, total).counts == there.counts).all()


@pytest.mark.parametrize("total", [1, 2**16 - 1, 2**32 - 1])
def test_a_one_hot_distribution_is_exact(total):
    q = np.zeros(10)
    q[3] = 1
    assert (quantise(q, total).probabilities == q).all()


def test_more_tokens_than_counts():
    v, total = 70_000, 2**16 - 1
    got = quantise(np.full(v, 1 / v), total)
    assert got.counts.sum() == total
    assert set(got.counts.tolist()) == {0, 1}
    skewed = np.full(v, 0.5 / (v - 1))
    skewed[9] = 0.5
    assert quantise(skewed, total).counts[9] == pytest.approx(total / 2, abs=1)


@pytest.mark.parametrize(
    ("q", "total", "counts"),
    [
        ([0.5, 0.5], 1, [0, 1]),  # both rounded up: the lowest id gives one back
        ([0.25] * 4, 2, [0, 0, 1, 1]),
        ([0.25] * 4, 5, [2, 1, 1, 1]),  # all rounded down: the lowest id gets one more
        ([0.2] * 5, 2, [1, 1, 0, 0, 0]),
        ([0, 0.5, 0, 0.5], 3, [0, 1, 0, 2]),
    ],
)
def test_ties_go_by_token_id(q, total, counts):
    assert quantise(np.array(q), total).counts.tolist() == counts


@pytest.mark.parametrize(
    "norm", [lambda d: abs(d).sum(), lambda d: abs(d).max()], ids=["L1", "Linf"]
)
def test_no_point_of_the_lattice_is_nearer(norm):
    rng = np.random.default_rng(3)
    for v, total in product((2, 3, 4), (1, 2, 3, 5, 6)):
        points = [np.array(c) for c in product(range(total + 1), repeat=v) if sum(c) == total]
        for _ in range(20):
            q = rng.dirichlet(np.full(v, 0.7))
            nearest = min(norm(point / total - q) for point in points)
            assert norm(quantise(q, total).probabilities - q) == pytest.approx(nearest, abs=1e-12)


def reznik(q: np.ndarray, total: int) -> list[int]:
    """Return the counts of all tokens together, one by one."""
    counts = np.floor(q * total + 0.5).astype(np.int64)
    missing = total - counts.sum()
    step = 1 if missing > 0 else -1
    order = np.argsort(step * (counts - q * total), kind="stable")
    possible = [i for i in order if q[i] > 0]
    counts[possible[: abs(missing)]] += step
    return counts.tolist()


@settings(deadline=None, max_examples=300)
@given(distributions(), st.sampled_from([1, 2, 7, 100, 2**16 - 1, 2**32 - 1]))
def test_tokens_that_are_passed_over_would_have_changed_nothing(q, total):
    assert quantise(q, total).counts.tolist() == reznik(q, total)


def wide(shape: str, v: int) -> np.ndarray:
    """Distributions as wide as vocabularies, by the shape of what rounding leaves over."""
    rng = np.random.default_rng(v)
    if shape == "ties":
        q = np.exp(rng.integers(0, 9, v).astype(float))
    elif shape == "flat":
        q = np.ones(v)
    else:
        q = np.exp(rng.normal(scale=float(shape), size=v))
    return q / q.sum()


@pytest.mark.parametrize("v", [3000, 66_000])
@pytest.mark.parametrize("shape", ["1", "3", "8", "flat", "ties"])
@pytest.mark.parametrize("total", [240, 2**16 - 1, 2**32 - 1])
def test_wide_ones_have_the_counts_of_all_tokens_one_by_one(v, shape, total):
    q = wide(shape, v)
    assert quantise(q, total).counts.tolist() == reznik(q, total)


def test_a_sample_that_is_not_like_the_others_does_not_mislead():
    """Every 64th token is the first to be put right, and more are needed than these."""
    x = np.where(np.arange(3000) % 64 == 0, 5.49, 5.3)
    total = int(x.sum())
    x[-1] -= x.sum() - total
    assert quantise(x / total, total).counts.tolist() == reznik(x / total, total)


def test_small_tokens_are_put_right_where_large_ones_do_not_suffice():
    q = np.full(1000, 0.1 / 999)  # times ℓ = 100: 90, and 0.01 each
    q[7] = 0.9
    assert quantise(q, 100).counts.tolist() == [1] * 7 + [90] + [1] * 3 + [0] * 989


@pytest.mark.parametrize("q", [[0.5, 0.4], [0.5, 0.6], [1.5, -0.5], [0.5, np.nan], [np.inf, 0]])
def test_what_is_no_distribution_is_refused(q):
    with pytest.raises(ValueError, match="do not sum to 1, or are not numbers"):
        quantise(np.array(q), 100)


def test_probability_is_the_entry_of_probabilities_to_the_last_bit():
    got = quantise(np.random.default_rng(0).dirichlet(np.ones(50)), 2**32 - 1)
    assert [got.probability(i) for i in range(50)] == got.probabilities.tolist()


@pytest.mark.parametrize(
    ("counts", "total", "message"),
    [
        ([1, 2], 4, "do not sum to ℓ = 4"),
        ([-1, 5], 4, "negative"),
        ([0, 0], 0, "ℓ is 0; it must be at least 1"),
    ],
)
def test_counts_that_are_no_distribution_are_refused(counts, total, message):
    with pytest.raises(ValueError, match=message):
        Lattice.dense(np.array(counts), total)
