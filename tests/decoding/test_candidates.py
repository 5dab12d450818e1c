"""Recursive rejection at one node: what comes out follows p exactly, and only by the right rule."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.decoding import candidates as rule
from testbed.decoding.candidates import draw_candidates, first_accepted, without
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import KeyedRandomness
from tests.support.enumeration import law
from tests.support.mistakes import inverted, no_residual, stale_p, stale_q

both = pytest.mark.parametrize("replacement", [False, True])


def target(v: int, rng: np.random.Generator, zeros: int = 0) -> np.ndarray:
    p = rng.exponential(size=v)
    p[rng.permutation(v)[:zeros]] = 0
    return p / p.sum()


def lattice(v: int, rng: np.random.Generator, size: int, zeros: int = 0) -> Lattice:
    """Return a lattice with counts on `size` of `v` tokens, of which `zeros` are 0."""
    support = np.sort(rng.permutation(v)[:size])
    counts = rng.integers(1, 20, size)
    counts[rng.permutation(size)[:zeros]] = 0
    return Lattice(counts, int(counts.sum()), support, v)


def node_law(p, q, k, replacement, test=first_accepted):
    """Return the law of the token at one node, and the probability that a candidate is accepted."""

    def run(random):
        tokens = draw_candidates(q, k, random, 3, 0, replacement=replacement)
        accepted, left = test(tokens, q, p, random, 3, replacement=replacement)
        if accepted is not None:
            return tokens[accepted], True
        return random.choose(left, "target", 3), False

    result, share = np.zeros(p.size), 0.0
    for (token, accepted), mass in law(run).items():
        result[token] += mass
        share += mass * accepted
    return result, share


@both
@pytest.mark.parametrize(
    ("v", "size", "zeros", "k"),
    [
        (2, 2, 0, 1),
        (2, 2, 0, 2),
        (2, 1, 0, 3),  # more candidates than tokens
        (3, 3, 0, 2),
        (3, 3, 0, 3),
        (3, 2, 0, 4),
        (4, 4, 1, 3),
        (4, 4, 2, 4),
        (5, 5, 0, 2),
        (5, 3, 0, 3),
        (5, 3, 1, 4),
        (5, 4, 0, 4),
    ],
)
def test_the_token_follows_p(v, size, zeros, k, replacement):
    for seed in range(3):
        rng = np.random.default_rng((seed, v, size, k))
        p, q = target(v, rng, zeros=seed % 2), lattice(v, rng, size, zeros)
        got, _ = node_law(p, q, k, replacement)
        assert abs(got - p).max() < 1e-12


@both
def test_the_token_follows_a_p_that_is_q_or_has_nothing_in_common_with_it(replacement):
    q = Lattice(np.array([3, 5]), 8, np.array([0, 2]), 4)
    for p, share in [(q.probabilities, 1), (np.array([0, 0.25, 0, 0.75]), 0)]:
        got, accepted = node_law(p, q, 2, replacement)
        assert abs(got - p).max() < 1e-12
        assert accepted == pytest.approx(share, abs=1e-12)


@both
def test_a_greedy_target_accepts_its_token_whenever_it_is_among_the_candidates(replacement):
    q = Lattice(np.array([3, 5, 2]), 10, np.array([0, 1, 2]), 3)
    p = np.array([0.0, 0.0, 1.0])
    got, accepted = node_law(p, q, 2, replacement)
    assert got.tolist() == pytest.approx([0, 0, 1], abs=1e-12)
    missed = 0.8**2 if replacement else 0.3 * 5 / 7 + 0.5 * 3 / 5
    assert accepted == pytest.approx(1 - missed, abs=1e-12)


@both
def test_one_candidate_is_plain_rejection(replacement):
    rng = np.random.default_rng(1)
    p, q = target(4, rng), lattice(4, rng, 3)
    _, accepted = node_law(p, q, 1, replacement)
    assert accepted == pytest.approx(np.minimum(p, q.probabilities).sum(), abs=1e-12)


@both
def test_more_candidates_are_accepted_more_often(replacement):
    rng = np.random.default_rng(2)
    p, q = target(4, rng), lattice(4, rng, 4)
    shares = [node_law(p, q, k, replacement)[1] for k in (1, 2, 3)]
    assert shares == sorted(shares)
    assert shares[2] > shares[0] + 0.05


def test_without_replacement_all_tokens_are_drawn_once():
    random = KeyedRandomness(0, 0, "")
    q = Lattice(np.array([4, 0, 1, 7]), 12, np.array([1, 3, 4, 8]), 9)
    for position in range(20):
        tokens = draw_candidates(q, 7, random, position, 0, replacement=False)
        assert sorted(tokens) == [1, 4, 8]
    assert len(draw_candidates(q, 7, random, 0, 0, replacement=True)) == 7


def test_a_candidate_is_taken_out_exactly():
    q = Lattice(np.array([4, 1, 7]), 12, np.array([1, 4, 8]), 9)
    left = without(q, 8)
    assert (left.counts.tolist(), left.total) == ([4, 1, 0], 5)
    assert left.probability(1) == 4 / 5
    assert q.counts.tolist() == [4, 1, 7]
    with pytest.raises(ValueError, match="token 8 has probability 0"):
        without(left, 8)
    with pytest.raises(ValueError, match="ℓ is 0"):
        without(without(left, 1), 4)


def test_candidates_that_cannot_have_been_drawn_are_refused():
    q = Lattice(np.array([4, 1]), 5, np.array([0, 1]), 3)
    p, random = np.array([0.0, 0.0, 1.0]), KeyedRandomness(0, 0, "")
    for tokens, replacement in [([2], False), ([0, 0], False), ([2], True)]:
        with pytest.raises(ValueError, match="cannot have been drawn"):
            first_accepted(tokens, q, p, random, 0, replacement=replacement)


# Negative controls: each mistake must show.


@pytest.mark.parametrize(
    ("test", "replacement"),
    [(stale_q, False), *((test, each) for test in (stale_p, no_residual) for each in (0, 1))],
)
def test_a_wrong_rule_is_caught(test, replacement):
    rng = np.random.default_rng(5)
    p, q = target(4, rng), lattice(4, rng, 3)
    got, _ = node_law(p, q, 2, replacement, test)
    assert abs(got - p).max() > 1e-3


@both
def test_an_inverted_ratio_is_caught(monkeypatch, replacement):
    monkeypatch.setattr(rule, "acceptance_probability", inverted)
    rng = np.random.default_rng(5)
    p, q = target(4, rng), lattice(4, rng, 3)
    got, _ = node_law(p, q, 2, replacement)
    assert abs(got - p).max() > 1e-3
