"""Exact arithmetic on vectors as long as a vocabulary, fast with whatever SIMD NumPy was built for.

Casts between floats and integers of 64 bits go one by one on most processors. Adding a power of two
that is large enough rounds just as well, and leaves the integer in the last digits of the float.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 15
"""Entries: temporary arrays of so many stay in a core's cache, and need no new pages each time."""
_DIGITS = 2.0**52


def blocks(size: int) -> Iterator[slice]:
    """Cut a vector of `size` entries into parts that are worked on one after the other."""
    for begin in range(0, size, _BLOCK):
        yield slice(begin, begin + _BLOCK)


def multiples(values: NDArray[np.float64], unit: float = 1.0) -> NDArray[np.int64]:
    """`values` in units, rounded to the nearest, ties to even; as np.rint(values / unit) gives it.

    `unit` is a power of two, and all `values` are from 0 to 2^52 units.
    """
    ruler = np.float64(_DIGITS * unit)
    counts: NDArray[np.int64] = (values + ruler).view(np.int64)
    counts -= ruler.view(np.int64)
    return counts
