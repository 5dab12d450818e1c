"""Laws of jitter, those of netem: delay + spread·x, never negative.

x lies on -1 to 1 for `uniform`. The other laws are those of iproute2's generators normal.c,
pareto.c and paretonormal.c, as quantile functions of a uniform u; their tables hold x on -4 to 4
at most, so x is cut off there:

    normal          x = Φ⁻¹(u), the standard normal law
    pareto          x = 4/3·((1 - u)^(-1/3) - 3/2), of shape 3, shifted to mean 0; from -2/3
    paretonormal    x = (normal + 3·pareto)/4 at the same u

The cut meets 1.1 % of pareto and leaves it a mean of -0.03 and a standard deviation of 0.82.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from testbed.errors import TestbedError
from testbed.links.fields import read_fields, require, scalar
from testbed.links.units import format_time, parse_time

UNIFORM = "uniform"
_CUT = 4.0
_NORMAL = NormalDist()
_TINY = 2.0**-60  # u may be 0, where the normal law has no quantile


class _Law(NamedTuple):
    quantile: Callable[[float], float]
    low: float
    high: float


def _uniform(u: float) -> float:
    return 2 * u - 1


def _normal(u: float) -> float:
    return max(-_CUT, min(_CUT, _NORMAL.inv_cdf(max(u, _TINY))))


def _pareto(u: float) -> float:
    return min(_CUT, 4 / 3 * (math.pow(1 - u, -1 / 3) - 1.5))


def _paretonormal(u: float) -> float:
    return (_normal(u) + 3 * _pareto(u)) / 4


_LAWS = {
    UNIFORM: _Law(_uniform, -1.0, 1.0),
    "normal": _Law(_normal, -_CUT, _CUT),
    "pareto": _Law(_pareto, -2 / 3, _CUT),
    "paretonormal": _Law(_paretonormal, -1.5, _CUT),
}


@dataclass(frozen=True, slots=True)
class Jitter:
    """A law and its spread in seconds: the most that `uniform` departs from the delay.

    Raises ValueError, starting with the scenario's key, for what is no jitter.
    """

    spread: float
    law: str = UNIFORM

    def __post_init__(self) -> None:
        if not self.spread >= 0:
            raise ValueError("spread: it must not be negative")
        if self.law not in _LAWS:
            raise ValueError(f"law: {self.law!r} is not one; choose from {', '.join(_LAWS)}")

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> "Jitter":
        """Read `{spread, law}`; TestbedError for anything else."""
        values = read_fields(mapping, {"spread": scalar(parse_time), "law": scalar(str)}, where)
        require(mapping, ("spread", "law"), where)
        try:
            return cls(**values)
        except ValueError as error:
            raise TestbedError(f"{where}.{error}") from error

    def to_mapping(self) -> dict[str, str]:
        """Write both, so that `parse` returns this very jitter."""
        return {"spread": format_time(self.spread), "law": self.law}

    def hold(self, delay: float, u: float) -> float:
        """How long a packet is held on a link of mean `delay`, by a number uniform on [0, 1)."""
        return max(0.0, delay + self.spread * _LAWS[self.law].quantile(u))

    def shortest(self, delay: float) -> float:
        """The least that `hold` can be."""
        return max(0.0, delay + self.spread * _LAWS[self.law].low)

    def longest(self, delay: float) -> float:
        """The most that `hold` can be."""
        return delay + self.spread * _LAWS[self.law].high


def as_jitter(jitter: float | Jitter) -> Jitter:
    """A bare number of seconds is uniform."""
    return jitter if isinstance(jitter, Jitter) else Jitter(jitter)
