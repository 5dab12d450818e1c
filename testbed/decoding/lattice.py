"""Probabilities as integers over a common denominator: q̂ = b / ℓ, Σ b = ℓ.

A token is drawn from, sent with, and verified against the same integers, so that both ends of the
link hold identical distributions. `quantise` is the algorithm of Reznik, "An algorithm for
quantization of discrete probability distributions", DCC 2011, as used by QS (arXiv 2507.00605).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from testbed.decoding.randomness import Randomness, Role
from testbed.decoding.sampling import Probabilities
from testbed.decoding.wide import blocks, to_counts

Ids = NDArray[np.int64]
Denominator: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
"""ℓ as an option of a method."""
_SLACK = 1e-10
"""The largest error of a sum of probabilities; less than one count of any ℓ in use."""
_SAMPLED, _SPARE = 64, 8
"""`_bounds` looks at every 64th value, and 8 places further than twice the expected place."""


@lru_cache(maxsize=4)
def whole_vocabulary(size: int) -> Ids:
    """Return the support of all tokens: ids 0 to `size` - 1, in a shared array."""
    ids = np.arange(size)
    ids.flags.writeable = False
    return ids


@dataclass(frozen=True, eq=False)
class Lattice:
    """A distribution on the lattice, over a support.

    `counts` are non-negative and sum to `total` = ℓ. `support` holds the token id of each count,
    ascending; all other ids have probability 0. Raises ValueError if any of this does not hold.
    """

    counts: NDArray[np.int64]
    total: int
    support: Ids
    vocabulary_size: int

    @classmethod
    def dense(cls, counts: NDArray[np.int64], total: int) -> Lattice:
        """Return the distribution with `counts`, shape [V], one for each id of the vocabulary."""
        return cls(counts, total, whole_vocabulary(counts.size), counts.size)

    def __post_init__(self) -> None:
        if self.total < 1:
            raise ValueError(f"ℓ is {self.total}; it must be at least 1")
        if self.counts.size == 0:
            raise ValueError("the support is empty; it must hold at least one token")
        if self.counts.shape != self.support.shape:
            raise ValueError(
                f"{self.counts.size} counts for a support of {self.support.size} tokens"
            )
        if self.counts.min() < 0 or int(self.counts.sum()) != self.total:
            raise ValueError(f"the counts are negative or do not sum to ℓ = {self.total}")
        if self.support is not whole_vocabulary(self.vocabulary_size) and (
            self.support[0] < 0
            or self.support[-1] >= self.vocabulary_size
            or not (self.support[1:] > self.support[:-1]).all()
        ):
            raise ValueError(
                f"the support is not made of ascending ids below {self.vocabulary_size}"
            )

    @cached_property
    def probabilities(self) -> Probabilities:
        """q̂ as float64, shape [V]; the same bits on every machine."""
        if self.support.size == self.vocabulary_size:
            return self.counts / self.total
        result = np.zeros(self.vocabulary_size)
        result[self.support] = self.counts / self.total
        return result

    def probability(self, token: int) -> float:
        """q̂(token)."""
        place = self._find(token)
        return 0.0 if place is None else int(self.counts[place]) / self.total

    def place(self, token: int) -> int:
        """Return the index of `token` in the support. Raises ValueError if its probability is 0."""
        place = self._find(token)
        if place is None or self.counts[place] == 0:
            raise ValueError(f"token {token} has probability 0 and cannot have been drawn")
        return place

    def draw(self, random: Randomness, role: Role, position: int, *which: int) -> int:
        """Draw a token from q̂, with the key that Randomness.choose describes."""
        return int(self.support[random.choose(self.counts, role, position, *which)])

    def _find(self, token: int) -> int | None:
        place = int(np.searchsorted(self.support, token))
        found = place < self.support.size and self.support[place] == token
        return place if found else None


def quantise(q: Probabilities, total: int, support: Ids | None = None) -> Lattice:
    """Return the lattice point nearest to `q`, shape [V], with denominator `total` = ℓ.

    With a `support` of K ascending ids, it is the point nearest to q̃, which is q / Σ_support q on
    the support and 0 elsewhere; without one, q̃ is `q` and K is V. A token with q = 0 has count 0.
    TV(q̃, q̂) <= K / (4ℓ) (Reznik). Ties go to the lowest token id. Raises ValueError when `q` is
    not a distribution or has no mass on the support.
    """
    if support is None:
        support = whole_vocabulary(q.size)
        kept = q
    else:
        kept = q[support]
        mass = kept.sum()
        if not mass > 0:
            raise ValueError("the support has no probability mass")
        kept = kept / mass
    if not (kept.min() >= 0 and abs(kept.sum() - 1) < _SLACK):
        raise ValueError("the probabilities do not sum to 1, or are not numbers")
    counts, overstated = _nearest(kept, total)
    missing = total - int(counts.sum())
    if missing > 0:  # the most understated get one
        counts[_smallest(overstated, missing)] += 1
    elif missing < 0:  # the most overstated give one back
        np.negative(overstated, out=overstated)
        counts[_smallest(overstated, -missing)] -= 1
    return Lattice(counts, total, support, q.size)


def _nearest(kept: Probabilities, total: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the integers nearest to ℓq, and these minus ℓq (Reznik's ζ); both of shape [K]."""
    counts = np.empty(kept.size, np.int64)
    overstated = np.empty(kept.size)
    for block in blocks(kept.size):
        scaled = kept[block] * total
        rounded = np.floor(scaled + 0.5)
        to_counts(rounded, 1.0, out=counts[block])
        np.subtract(rounded, scaled, out=overstated[block])
    return counts, overstated


def _smallest(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the indices of the n smallest values; of equal values the lowest indices."""
    for bound in _bounds(values, n):
        (below,) = (values < bound).nonzero()
        if below.size > n:
            return below[_smallest(values[below], n)]
        equal = (values == bound).nonzero()[0][: n - below.size]
        if below.size + equal.size == n:
            break
    return np.concatenate([below, equal])


def _bounds(values: NDArray[np.float64], n: int) -> Iterator[np.float64]:
    """Yield upper bounds of the n smallest values, the last of which is exact.

    One guessed from a sample comes first: few values are below it, but it may be too low.
    """
    sample = values[::_SAMPLED]
    place = 2 * n // _SAMPLED + _SPARE
    if place < sample.size:
        yield np.partition(sample, place)[place]
    yield np.partition(values, n - 1)[n - 1]
