"""Probabilities as integers over a common denominator: q̂ = b / ℓ, Σ b = ℓ.

A token is drawn from, sent with, and verified against the same integers, so that both ends of the
link hold identical distributions. Source of the algorithm: Reznik, "An algorithm for quantization
of discrete probability distributions", DCC 2011, as used by QS (arXiv 2507.00605).
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
"""Of a sum of probabilities; less than one count of 2^32."""
_SAMPLED, _SPARE = 64, 8
"""Every 64th of many values bounds what is small among them; 8 more than needed allow for luck."""


@lru_cache(maxsize=4)
def whole_vocabulary(size: int) -> Ids:
    """Return the support of everything: ids 0 to V - 1; the same array each time."""
    ids = np.arange(size)
    ids.flags.writeable = False
    return ids


@dataclass(frozen=True, eq=False)
class Lattice:
    """A distribution on the lattice, over a support.

    `counts`, int64, non-negative, sum to `total` = ℓ. `support` holds the token ids they belong to,
    ascending; every other id has probability 0. Raises ValueError otherwise.
    """

    counts: NDArray[np.int64]
    total: int
    support: Ids
    vocabulary_size: int

    @classmethod
    def dense(cls, counts: NDArray[np.int64], total: int) -> Lattice:
        """One count for each id of the vocabulary; shape [V]."""
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
        """Return the index of `token` in the support. Raises ValueError at probability 0."""
        place = self._find(token)
        if place is None or self.counts[place] == 0:
            raise ValueError(f"token {token} has probability 0 and cannot have been drawn")
        return place

    def draw(self, random: Randomness, role: Role, position: int, *which: int) -> int:
        """Draw a token from q̂; see Randomness.choose."""
        return int(self.support[random.choose(self.counts, role, position, *which)])

    def _find(self, token: int) -> int | None:
        place = int(np.searchsorted(self.support, token))
        found = place < self.support.size and self.support[place] == token
        return place if found else None


def quantise(q: Probabilities, total: int, support: Ids | None = None) -> Lattice:
    """Return the lattice point nearest to `q`, shape [V], with denominator `total` = ℓ.

    With a `support` (ascending ids) the nearest to q̃ = q / Σ_support q, 0 elsewhere. Support never
    grows: a token with q = 0 keeps count 0. TV(q̃, q̂) <= K / (4ℓ) on K tokens (Reznik). Ties go to
    the lowest token id. Raises ValueError when `q` is not a distribution or has no mass there.
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
    """Return the integers nearest to ℓq, and how much they overstate it (Reznik's ζ); shape [K]."""
    counts = np.empty(kept.size, np.int64)
    overstated = np.empty(kept.size)
    for block in blocks(kept.size):
        scaled = kept[block] * total
        rounded = np.floor(scaled + 0.5)
        to_counts(rounded, 1.0, out=counts[block])
        np.subtract(rounded, scaled, out=overstated[block])
    return counts, overstated


def _smallest(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the indices of the n smallest values; among equals the lowest indices."""
    for bound in _bounds(values, n):
        below = np.flatnonzero(values < bound)
        if below.size > n:
            return below[_smallest(values[below], n)]
        equal = np.flatnonzero(values == bound)[: n - below.size]
        if below.size + equal.size == n:
            break
    return np.concatenate([below, equal])


def _bounds(values: NDArray[np.float64], n: int) -> Iterator[np.float64]:
    """Guess a bound of the n smallest values that few others are below; then give the least one."""
    sample = values[::_SAMPLED]
    place = 2 * n // _SAMPLED + _SPARE
    if place < sample.size:
        yield np.partition(sample, place)[place]
    yield np.partition(values, n - 1)[n - 1]
