"""Keyed randomness: a function of the key alone, uniform, and never an impossible choice."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from testbed.decoding.randomness import KeyedRandomness, _winner

ROLES = ("draft", "accept", "target")


def with_uniform(u: float) -> KeyedRandomness:
    random = KeyedRandomness(0, 0, "x")
    random.uniform = lambda role, position: u
    return random


def test_the_same_key_gives_the_same_draw_in_any_order():
    first, second = (KeyedRandomness(5, 2, "device/1") for _ in range(2))
    keys = [(role, position) for role in ROLES for position in range(20)]
    forwards = {key: first.uniform(*key) for key in keys}
    backwards = {key: second.uniform(*key) for key in reversed(keys)}
    assert forwards == backwards


def test_the_draws_of_a_key_never_change():
    """Results of other days and machines depend on these."""
    assert KeyedRandomness(1, 0, "device/0").uniform("draft", 7) == 0.2131403906373559


def test_every_part_of_the_key_counts():
    parts = product((0, 1, -1, 256), (0, 1), ("device/0", "device/1", ""), ROLES, (0, 1, 256))
    draws = [
        KeyedRandomness(seed, repetition, stream).uniform(role, position)
        for seed, repetition, stream, role, position in parts
    ]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize("role", ROLES)
def test_uniform(role):
    """100 000 draws: Kolmogorov-Smirnov, χ² of the value, and χ² of neighbouring pairs."""
    random = KeyedRandomness(1, 0, "device/0")
    u = np.array([random.uniform(role, position) for position in range(100_000)])
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.chisquare(np.bincount((u * 256).astype(int), minlength=256)).pvalue > 1e-3
    cells = (u[::2] * 16).astype(int) * 16 + (u[1::2] * 16).astype(int)
    assert stats.chisquare(np.bincount(cells, minlength=256)).pvalue > 1e-3


def test_neighbouring_seeds_are_independent():
    u = np.array([KeyedRandomness(s, 0, "device/0").uniform("draft", 0) for s in range(20_000)])
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.03


def test_choices_follow_the_weights():
    random = KeyedRandomness(3, 0, "device/0")
    for weights in (np.array([1.0, 0.0, 2.5, 0.5]), np.array([7, 1, 0, 2**31])):
        got = np.bincount(
            [random.choose(weights, "target", i) for i in range(20_000)], minlength=len(weights)
        )
        some = weights > 0
        assert not got[~some].any()
        wanted = weights[some] / weights.sum() * 20_000
        assert stats.chisquare(got[some], wanted).pvalue > 1e-3


def test_acceptances_follow_the_probability():
    random = KeyedRandomness(4, 0, "device/0")
    got = sum(random.accept(0.3, position) for position in range(20_000))
    assert stats.binomtest(got, 20_000, 0.3).pvalue > 1e-3


@pytest.mark.parametrize("u", [0.0, 2**-53, 0.5, 1 - 2**-53])
@pytest.mark.parametrize(
    "weights",
    [
        np.array([0.0, 0.3, 0.0, 0.7, 0.0]),
        np.array([0, 3, 0, 2**32 - 4, 0]),
        np.array([0.0, 1e-300, 0.0, 1e-300, 0.0]),
        np.array([0.0, 1e-20, 0.0, 1.0, 0.0]),
        np.array([0.0, 1.0, 0.0, 1e-20, 0.0]),
        np.array([0.0, 0.1, 0.0, 0.2, 0.0]) * 3,
    ],
    ids=str,
)
def test_an_entry_without_weight_is_never_chosen(weights, u):
    assert with_uniform(u).choose(weights, "draft", 0) in (1, 3)


def test_a_product_that_rounds_up_to_the_sum_takes_the_last_entry_with_weight():
    weights = np.array([0.0, 3e-324, 0.0])  # 3e-324 · u is 3e-324 again
    assert with_uniform(1 - 2**-53).choose(weights, "draft", 0) == 1
    assert with_uniform(0.0).choose(weights, "draft", 0) == 1


def test_choices_invert_the_cumulative_distribution_in_token_order():
    weights = np.array([1, 2, 1])
    chosen = [with_uniform(u).choose(weights, "draft", 0) for u in (0, 0.2499, 0.25, 0.7499, 0.75)]
    assert chosen == [0, 0, 1, 1, 2]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([255, 256, 257, 512, 1000, 3000]),
    st.sampled_from([np.int64, np.float64]),
    st.integers(0, 2**32),
    st.floats(0, 1 - 2**-53),
)
def test_many_weights_are_searched_as_a_whole_would_be(size, kind, seed, u):
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(size) < 0.01, rng.integers(1, 2**20, size), 0).astype(kind)
    weights[rng.integers(size)] = 5
    chosen = with_uniform(u).choose(weights, "draft", 0)
    assert weights[chosen] > 0
    # Whole numbers, so that sums in any order are the same.
    assert weights[:chosen].sum() <= u * weights.sum()
    assert u * weights.sum() < weights[: chosen + 1].sum() or not weights[chosen + 1 :].any()


def test_a_block_that_adds_up_to_less_inside_takes_its_last_entry():
    weights = np.zeros(600)
    weights[256:362] = 0.1
    weights[599] = 1e-300
    one_by_one = np.cumsum(weights[256:512])[-1]
    assert one_by_one < (1 - 2**-53) * weights.sum(), "the sums agree: take other weights"
    assert with_uniform(1 - 2**-53).choose(weights, "draft", 0) == 361


def plain_race(random: KeyedRandomness, weights: np.ndarray, position: int) -> int:
    """argmin E / w with a logarithm for each token, over the documented uniforms."""
    key = np.frombuffer(random._digest("race", position, size=16), "<u8")
    uniforms = np.random.Generator(np.random.Philox(key=key)).random(weights.size)
    runners = np.flatnonzero(weights)
    with np.errstate(over="ignore"):
        return int(runners[np.argmin(-np.log1p(-uniforms[runners]) / weights[runners])])


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 400) | st.sampled_from([65_536, 66_000]),
    st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    st.floats(0, 60),
    st.integers(0, 2**32),
)
def test_races_are_won_as_if_each_token_had_its_logarithm(size, zeros, spread, seed):
    rng = np.random.default_rng(seed)
    weights = np.exp(rng.normal(scale=spread, size=size))
    weights[rng.random(size) < zeros] = 0
    weights[rng.integers(size)] = 1
    random = KeyedRandomness(seed % 1000, 0, "device/0")
    counts = np.ceil(weights / weights.max() * 2**32).astype(np.int64)
    for each in (weights, weights / weights.sum(), counts):
        assert random.race(each, 3) == plain_race(random, each, 3)


def test_the_winners_of_a_key_never_change():
    """Results of other days depend on these; in no block is everybody at the start."""
    weights = np.arange(100_000) % 7
    random = KeyedRandomness(1, 0, "device/0")
    assert [random.race(weights, position) for position in range(4)] == [
        24_002,
        41_801,
        24_176,
        61_655,
    ]
    weights[:70_000] = 0
    assert random.race(weights, 0) == plain_race(random, weights, 0) >= 70_000


@pytest.mark.parametrize(
    ("uniforms", "weights", "winner"),
    [
        ([0.5, 0.0, 0.0, 0.1], [1.0, 1e-300, 1.0, 1.0], 1),  # the first of those that do not wait
        ([0.5, 0.5, 0.25], [1.0, 1.0, 0.25], 0),  # the first of equals
        ([0.25, 0.5], [5e-324, 5e-324], 0),  # later than any float can say
        ([0.9, 0.3], [3.1, 1.0], 1),  # the least u / w is not the first to arrive
        ([1 - 2.0**-53, 2.0**-53], [1, 2**32], 1),
    ],
)
def test_who_arrives_first(uniforms, weights, winner):
    assert _winner(np.array(uniforms), np.array(weights))[1] == winner


def test_a_single_runner_wins_without_a_race():
    random = KeyedRandomness(1, 0, "x")
    random._digest = None
    assert random.race(np.array([0.0, 0.0, 1e-9]), 0) == 2
