"""Exact arithmetic on vectors as long as a vocabulary, fast with whatever SIMD NumPy was built for.

Casts between floats and integers of 64 bits go one by one on most processors. Adding a power of two
that is large enough rounds as well, and leaves the integer in the last digits of the float.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
"""Entries: temporary arrays of so many stay in a core's cache, and need no new pages each time."""
_DIGITS = 2.0**52


def blocks(size: int) -> Iterator[slice]:
    """Cut a vector of `size` entries into parts that are worked on one after the other."""
    for begin in range(0, size, _BLOCK):
        yield slice(begin, begin + _BLOCK)


def to_counts(values: NDArray[np.float64], unit: float, out: NDArray[np.int64]) -> None:
    """Write into `out` how many units `values` are, rounded to the nearest, ties to even.

    That is np.rint(values / unit), where `unit` is a power of two and `values`, of the same shape,
    are from 0 to 2^52 units.
    """
    ruler = np.float64(_DIGITS * unit)
    np.add(values, ruler, out=out.view(np.float64))
    out -= ruler.view(np.int64)


def from_counts(counts: NDArray[np.int64], unit: float) -> NDArray[np.float64]:
    """Return `counts` times `unit`, exactly: the inverse of `to_counts`."""
    ruler = np.float64(_DIGITS * unit)
    values: NDArray[np.float64] = (counts + ruler.view(np.int64)).view(np.float64)
    values -= ruler
    return values
