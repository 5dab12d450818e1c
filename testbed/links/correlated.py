"""Uniform random numbers, each correlated with the one before."""

import math
from statistics import NormalDist

from testbed.links.keyed_random import KeyedUniform

_NORMAL = NormalDist()
_TINY = 2.0**-60  # replaces u = 0, where the normal distribution has no quantile


class CorrelatedUniform:
    """A Gaussian copula over a first-order autoregression: z_n = ρ·z_{n-1} + √(1-ρ²)·ε_n, u = Φ(z).

    Each number by itself is exactly uniform, so that a distribution sampled with it is exact. ρ is
    the correlation of successive z, and nearly that of successive values of any distribution.
    """

    def __init__(self, uniform: KeyedUniform) -> None:
        self._uniform = uniform
        self._z: float | None = None

    def __call__(self, number: int, correlation: float) -> float:
        """Return the random number of packet `number`, from 0; call once per packet, in order."""
        fresh = _NORMAL.inv_cdf(max(self._uniform(number), _TINY))
        if self._z is None:
            self._z = fresh
        else:
            self._z = correlation * self._z + math.sqrt(1 - correlation**2) * fresh
        return _NORMAL.cdf(self._z)
