"""The rule that makes speculative decoding lossless.

Notation, used throughout: q̂ is the distribution a draft token x was drawn from; p is the target's;
γ is the number of drafted tokens. Accept x with probability min(1, p(x)/q̂(x)). At the first
rejection draw from the *residual* norm(max(0, p - q̂)); when all γ are accepted draw the *bonus
token* from p. Each emitted token then follows p exactly (Leviathan et al., arXiv 2211.17192).
The DSSD paper prints the ratio upside down; here it is upright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities


def acceptance_probability(p: float, q: float) -> float:
    """min(1, p/q̂) for one drafted token. Raises ValueError when q̂ is 0: it can't be drawn."""
    if not q > 0:
        raise ValueError(f"a drafted token has q̂ = {q}; it cannot have been drawn from q̂")
    return min(1.0, p / q)


def residual(p: Probabilities, q: Probabilities) -> Probabilities:
    """norm(max(0, p - q̂)), shape [V]: where a rejected token is drawn from instead.

    When p and q̂ agree to the last bit there is nothing left over; a rejection then has probability
    zero but for rounding, and p itself is returned.
    """
    left = np.maximum(p - q, 0.0)
    mass = left.sum()
    return left / mass if mass > 0 else p


def accepted_prefix(
    q: Sequence[float], p: Callable[[int], float], random: Randomness, position: int
) -> int:
    """Return the number of γ drafted tokens that are accepted before the first rejection.

    They are drafts for positions `position`, `position` + 1, …; `q[i]` is q̂ of the i-th at its own
    position, `p(i)` what the target gives it there, and only asked for where it is needed.
    """
    for i, drawn in enumerate(q):
        if not random.accept(acceptance_probability(p(i), drawn), position + i):
            return i
    return len(q)
