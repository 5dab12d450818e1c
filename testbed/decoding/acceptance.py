"""The rule that makes speculative decoding lossless.

Notation, used throughout: q̂ is the distribution a draft token x was drawn from; p is the target's;
γ is the number of drafted tokens. Accept x with probability min(1, p(x)/q̂(x)): if u < p(x)/q̂(x),
strictly, where u is uniform in [0, 1) (KeyedRandomness.accept). At the first rejection draw from
the *residual* norm(max(0, p - q̂)); when all γ are accepted draw the *bonus token* from p. Each
emitted token then follows p exactly (Leviathan et al., arXiv 2211.17192). The DSSD paper prints the
ratio upside down; here it is upright.

Arguments called `q` are always q̂. `p` may also be p̂, the target's distribution as the wire carries
it: acceptance and residual then use the same p̂, and the output follows p̂.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities


def acceptance_probability(p: float, q: float) -> float:
    """Return min(1, p/q̂) for one drafted token, where `p` is p(x) or p̂(x), and `q` is q̂(x).

    Raises ValueError when q̂(x) is 0, because x cannot have been drawn then.
    """
    if not q > 0:
        raise ValueError(f"a drafted token has q̂ = {q}; it cannot have been drawn from q̂")
    return min(1.0, p / q)


def residual(p: Probabilities, q: Probabilities) -> Probabilities:
    """Return norm(max(0, p - q̂)), shape [V]: the token after a rejection is drawn from it.

    `p` may be p̂; `q` is q̂. If p and q̂ are equal but for rounding, the residual can be empty; only
    rounding can then have caused a rejection, and p itself is returned.
    """
    left = np.maximum(p - q, 0.0)
    mass = left.sum()
    return left / mass if mass > 0 else p


def accepted_prefix(
    q: Sequence[float], p: Callable[[int], float], random: Randomness, position: int
) -> int:
    """Return the number of γ drafted tokens that are accepted before the first rejection.

    They are drafts for positions `position`, `position` + 1, …. `q[i]` is q̂(x_i); `p(i)` returns
    p(x_i), or p̂(x_i), and is called only for drafts that are reached.
    """
    for i, drawn in enumerate(q):
        # u < p(x) / q̂(x), strictly; the comparison is KeyedRandomness.accept.
        if not random.accept(acceptance_probability(p(i), drawn), position + i):
            return i
    return len(q)
