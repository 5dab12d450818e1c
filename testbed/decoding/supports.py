"""The tokens of q that a device keeps: the K likeliest, the likeliest up to a mass, those above β.

Ties go to the lowest token id, on both ends alike.
"""

from __future__ import annotations

import numpy as np

from testbed.decoding.lattice import Ids
from testbed.decoding.sampling import Probabilities, likeliest


def top_k(q: Probabilities, k: int) -> Ids:
    """Return the k likeliest ids of `q`, shape [V], ascending.

    Raises ValueError unless 1 <= k <= V.
    """
    if not 1 <= k <= q.size:
        raise ValueError(f"K is {k}; it must be from 1 to the vocabulary's {q.size}")
    kth = np.partition(q, q.size - k)[q.size - k]
    above = np.flatnonzero(q > kth)
    equal = np.flatnonzero(q == kth)[: k - above.size]
    return np.sort(np.concatenate([above, equal]))


def top_p(q: Probabilities, mass: float) -> Ids:
    """Return the smallest set of likeliest ids whose mass reaches `mass`, ascending.

    Raises ValueError unless 0 < mass <= 1.
    """
    if not 0 < mass <= 1:
        raise ValueError(f"top-p mass is {mass}; it must be above 0 and at most 1")
    return np.sort(likeliest(q, mass))


def at_least(q: Probabilities, threshold: float) -> Ids:
    """Return the ids with q >= `threshold`, ascending; the likeliest one when there is none.

    All of the vocabulary when `threshold` is 0 or less (C-SQS, arXiv 2510.09942).
    """
    kept = np.flatnonzero(q >= threshold)
    return kept if kept.size else np.array([int(q.argmax())])
