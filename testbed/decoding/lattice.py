"""Probabilities as integers over a common denominator: q̂ = b / ℓ, Σ b = ℓ.

A token is drawn from, sent with, and verified against the same integers, so that both ends of the
link hold identical distributions. Source of the algorithm: Reznik, "An algorithm for quantization
of discrete probability distributions", DCC 2011, as used by QS (arXiv 2507.00605).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from testbed.decoding.sampling import Probabilities


@dataclass(frozen=True)
class Lattice:
    """A distribution on the lattice: `counts`, shape [V], int64, non-negative, summing to `total`.

    `total` is ℓ. Raises ValueError when the counts are no such thing.
    """

    counts: NDArray[np.int64]
    total: int

    def __post_init__(self) -> None:
        if self.total < 1:
            raise ValueError(f"ℓ is {self.total}; it must be at least 1")
        if self.counts.min() < 0 or int(self.counts.sum()) != self.total:
            raise ValueError(f"the counts are negative or do not sum to ℓ = {self.total}")

    @cached_property
    def probabilities(self) -> Probabilities:
        """q̂ as float64, shape [V]; the same bits on every machine."""
        return self.counts / self.total

    def probability(self, token: int) -> float:
        """q̂(token)."""
        return int(self.counts[token]) / self.total


def quantise(q: Probabilities, total: int) -> Lattice:
    """The lattice point nearest to `q`, shape [V], with denominator `total` = ℓ.

    Support never grows: a token with q = 0 keeps count 0. TV(q, q̂) <= V / (4ℓ) (Reznik). Ties go
    to the lowest token id.
    """
    scaled = q * total
    counts = np.floor(scaled + 0.5).astype(np.int64)
    missing = total - int(counts.sum())
    if missing:
        # ζ is by how much rounding overstated each token; the worst are put right.
        overstated = counts - scaled
        if missing > 0:
            counts[_smallest(overstated, missing)] += 1
        else:
            counts[_smallest(-overstated, -missing)] -= 1
    return Lattice(counts, total)


def _smallest(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Indices of the n smallest values; among equals the lowest indices."""
    threshold = np.partition(values, n - 1)[n - 1]
    below = np.flatnonzero(values < threshold)
    equal = np.flatnonzero(values == threshold)[: n - below.size]
    return np.concatenate([below, equal])
