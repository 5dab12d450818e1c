"""The tool that proves output laws must itself be right: the joint law of two races."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from testbed.decoding.randomness import KeyedRandomness
from tests.support.enumeration import Branching, joint_race, law

weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1.0)), min_size=5, max_size=5)


def normed(values) -> np.ndarray:
    x = np.array(values, np.float64)
    return x / x.sum()


@settings(deadline=None, max_examples=300)
@given(v=st.integers(1, 5), p=weights, q=weights)
def test_the_marginals_are_the_two_laws(v, p, q):
    p, q = p[:v], q[:v]
    if not (sum(p) and sum(q)):
        return
    p, q = normed(p), normed(q)
    joint = joint_race(p, q)
    assert joint.min() >= 0
    assert np.abs(joint.sum(axis=1) - p).max() < 1e-12
    assert np.abs(joint.sum(axis=0) - q).max() < 1e-12
    assert np.abs(joint - joint_race(q, p).T).max() < 1e-12


@settings(deadline=None, max_examples=200)
@given(v=st.integers(1, 5), p=weights, q=weights)
def test_similar_laws_agree_at_least_as_often_as_promised(v, p, q):
    """(1 - TV) / (1 + TV), and never more than 1 - TV (Daliri et al.)."""
    p, q = p[:v], q[:v]
    if not (sum(p) and sum(q)):
        return
    p, q = normed(p), normed(q)
    distance = 0.5 * np.abs(p - q).sum()
    agreement = np.trace(joint_race(p, q))
    assert (1 - distance) / (1 + distance) - 1e-12 <= agreement <= 1 - distance + 1e-12


def test_equal_laws_always_agree_and_disjoint_ones_never():
    p = normed([1, 2, 0, 4])
    assert np.abs(joint_race(p, p) - np.diag(p)).max() < 1e-15
    one, other = normed([1, 2, 0, 0]), normed([0, 0, 3, 1])
    assert np.abs(joint_race(one, other) - np.outer(one, other)).max() < 1e-15


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ([4, 3, 2, 1], [1, 2, 3, 4]),
        ([5, 1, 1, 1, 2], [4, 2, 0, 1, 3]),
        ([0, 3, 1, 6], [2, 2, 1, 0]),
        ([9, 1, 0], [8, 1, 1]),
    ],
)
def test_the_joint_law_is_that_of_the_real_races(p, q):
    p, q = normed(p), normed(q)
    random, v, n = KeyedRandomness(11, 0, "device/0"), len(p), 20_000
    got = np.zeros((v, v))
    for position in range(n):
        got[random.race(p, position), random.race(q, position)] += 1
    wanted = joint_race(p, q) * n
    assert got[wanted == 0].sum() == 0
    some = wanted > 0
    assert stats.chisquare(got[some], wanted[some]).pvalue > 1e-3
    # The comparison can fail: independent races are told from coupled ones.
    apart = np.outer(p, q) * n
    assert stats.chisquare(got[apart > 0], apart[apart > 0]).pvalue < 1e-9


def test_branching_walks_both_races_with_their_joint_law():
    p, q = normed([3, 0, 2, 1]), normed([1, 1, 2, 0])
    walked = law(lambda random: (random.race(p, 4), random.race(q, 4)))
    joint = joint_race(p, q)
    assert sum(walked.values()) == pytest.approx(1, abs=1e-12)
    assert all(abs(joint[pair] - mass) < 1e-12 for pair, mass in walked.items())
    other = law(lambda random: (random.race(p, 4), random.race(q, 5)))
    assert all(abs(p[i] * q[j] - mass) < 1e-12 for (i, j), mass in other.items())


def test_a_third_race_at_a_position_is_not_walked():
    random = Branching([])
    p = normed([1, 1])
    random.race(p, 0)
    random.race(p, 0)
    with pytest.raises(AssertionError, match="three races at position 0"):
        random.race(p, 0)
