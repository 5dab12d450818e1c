"""From logits to the distribution a token is drawn from: temperature, top-k, top-p.

One function serves draft and target. Filtering only one side breaks losslessness, so nothing else
in the project may turn logits into probabilities.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sampling of both models: `temperature` 0 is greedy, `top_k` 0 and `top_p` 1 set no limit."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.temperature < float("inf")):
            raise ValueError(f"temperature is {self.temperature}; it must be finite and 0 or more")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be 0 (off) or more")
        if not (0 < self.top_p <= 1):
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1 (off)")


def distribution(logits: NDArray[np.floating], sampling: Sampling) -> Probabilities:
    """Return the probabilities, shape [V], float64, that follow from `logits`, shape [V].

    The order is that of transformers: temperature, then top-k (ties with the k-th logit stay), then
    top-p (the smallest set of likeliest tokens whose mass reaches top_p). Temperature 0 puts all
    mass on the likeliest token, or of equally likely ones on the lowest id. Raises ValueError if a
    logit is NaN or +inf, or all are -inf.
    """
    best = int(logits.argmax())  # the index of a NaN, if there is one
    if not np.isfinite(logits[best]):
        raise ValueError("logits hold NaN, +inf or nothing but -inf")
    if sampling.temperature == 0:
        greedy = np.zeros(logits.size)
        greedy[best] = 1.0
        return greedy
    x: Probabilities = logits.astype(np.float64)
    x -= x[best]
    if sampling.temperature != 1:
        with np.errstate(over="ignore"):  # -1 / 5e-324 is -inf: probability 0, rightly
            x /= sampling.temperature
    if 0 < sampling.top_k < x.size:
        kth = np.partition(x, x.size - sampling.top_k)[x.size - sampling.top_k]
        x[x < kth] = -np.inf
    p: Probabilities = np.exp(x, out=x)
    p /= p.sum()
    if sampling.top_p < 1:
        kept = likeliest(p, sampling.top_p)
        mass = p[kept]
        p = np.zeros_like(p)
        p[kept] = mass / mass.sum()
    return p


def confidence(logits: NDArray[np.floating]) -> float:
    """Return the likeliest token's probability at temperature 1, unfiltered; logits are [V]."""
    return 1 / float(np.exp(logits - logits.max()).sum())


def likeliest(p: Probabilities, mass: float) -> NDArray[np.int64]:
    """Return the smallest set of likeliest ids that has at least the share `mass` of `p`, [V].

    The likeliest come first, of equally likely ones the lowest id; none has probability 0.
    """
    wanted = mass * p.sum()
    for size in (256, 4096, p.size):  # most sets are small, and sorting all of V takes long
        if size >= p.size:
            candidates = np.arange(p.size)
        else:
            least = np.partition(p, p.size - size)[p.size - size]
            candidates = np.flatnonzero(p >= least)
        order = candidates[np.argsort(-p[candidates], kind="stable")]
        reached = np.cumsum(p[order])
        if reached[-1] >= wanted:
            break
    needed = order[: int(np.searchsorted(reached, wanted)) + 1]
    return needed[p[needed] > 0]
