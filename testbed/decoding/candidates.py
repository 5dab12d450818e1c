"""Several candidates for one position: recursive rejection.

Notation: candidates x_1 … x_k are drawn one after the other from q̂_1 … q̂_k and verified in that
order against p_1 = p. Accept x_i with probability min(1, p_i(x_i) / q̂_i(x_i)); else go on with
p_{i+1} = norm(max(0, p_i - q̂_i)). When all are rejected, draw from p_{k+1}. With replacement every
q̂_i is q̂; without it q̂_{i+1} = norm(q̂_i minus x_i), the distribution that x_{i+1} was drawn from.

Each step is the rule of testbed.decoding.acceptance with p_i as its target, so whatever comes out
follows p (SpecInfer, arXiv 2305.09781; multi-candidate speculative decoding, arXiv 2401.06706).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.decoding.acceptance import acceptance_probability, residual
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities


def without(q: Lattice, token: int) -> Lattice:
    """norm(q̂ minus `token`), exactly. Raises ValueError when nothing is left."""
    place = q.place(token)
    counts = q.counts.copy()
    counts[place] = 0
    return Lattice(counts, q.total - int(q.counts[place]), q.support, q.vocabulary_size)


def draw_candidates(
    q: Lattice, count: int, random: Randomness, position: int, *which: int, replacement: bool
) -> list[int]:
    """`count` candidates for `position`; fewer when, without replacement, q̂ has no more tokens.

    `which` distinguishes the nodes of a tree and the rounds; the candidate's number follows it.
    """
    if not replacement:
        count = min(count, int(np.count_nonzero(q.counts)))
    tokens: list[int] = []
    for i in range(count):
        if tokens and not replacement:
            q = without(q, tokens[-1])
        tokens.append(q.draw(random, "draft", position, *which, i))
    return tokens


def first_accepted(
    tokens: Sequence[int],
    q: Lattice,
    p: Probabilities,
    random: Randomness,
    position: int,
    *,
    replacement: bool,
) -> tuple[int | None, Probabilities]:
    """Return the accepted candidate's number, None without one, and p after that, shape [V].

    `tokens` are what `draw_candidates` drew from `q` with the same `replacement`. When none is
    accepted the token of this position must be drawn from the second result.
    """
    for i, token in enumerate(tokens):
        if i and not replacement:
            q = without(q, tokens[i - 1])
        probability = acceptance_probability(float(p[token]), q.probability(token))
        if random.accept(probability, position, i):
            return i, p
        p = residual(p, q.probabilities)
    return None, p
