"""Laws of jitter: those of netem, delay + spread·x, or one that was measured; never negative.

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
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from testbed.errors import TestbedError
from testbed.links.field_readers import read_fields, require, scalar
from testbed.links.measured import MeasuredDelays
from testbed.links.units import format_fraction, format_time, parse_fraction, parse_time

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

    measured: delays to add to the link's, instead of a law and a spread.
    correlation: of each packet with the one before; see CorrelatedUniform.

    Raises ValueError, starting with the scenario's key, for what is no jitter.
    """

    spread: float = 0.0
    law: str = UNIFORM
    measured: MeasuredDelays | None = None
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not self.spread >= 0:
            raise ValueError("spread: it must not be negative")
        if not 0 <= self.correlation < 1:
            raise ValueError("correlation: it must be at least 0% and less than 100%")
        if self.law not in _LAWS:
            raise ValueError(f"law: {self.law!r} is not one; choose from {', '.join(_LAWS)}")

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> "Jitter":
        """Read `{spread, law}` or `{file}`, both with `correlation`; TestbedError otherwise."""
        known = _MEASURED if "file" in mapping else _DRAWN
        values = read_fields(mapping, known, where)
        require(mapping, ("file",) if "file" in mapping else ("spread", "law"), where)
        if "file" in values:
            values["measured"] = values.pop("file")
        try:
            return cls(**values)
        except ValueError as error:
            raise TestbedError(f"{where}.{error}") from error

    def to_mapping(self) -> dict[str, str]:
        """Write all of it, so that `parse` returns this very jitter."""
        correlation = {"correlation": format_fraction(self.correlation)} if self.correlation else {}
        if self.measured is not None:
            return {"file": str(self.measured.path), **correlation}
        return {"spread": format_time(self.spread), "law": self.law, **correlation}

    @property
    def plain(self) -> bool:
        """Whether the spread alone says it all: uniform, each packet by itself."""
        return self.measured is None and self.correlation == 0 and self.law == UNIFORM

    @property
    def none(self) -> bool:
        """Whether it holds every packet for the same time."""
        return self.measured is None and self.spread == 0

    def hold(self, delay: float, u: float) -> float:
        """How long a packet is held on a link of mean `delay`, by a number uniform on [0, 1)."""
        if self.measured is not None:
            return delay + self.measured.quantile(u)
        return max(0.0, delay + self.spread * _LAWS[self.law].quantile(u))

    def shortest(self, delay: float) -> float:
        """The least that `hold` can be."""
        if self.measured is not None:
            return delay + self.measured.delays[0]
        return max(0.0, delay + self.spread * _LAWS[self.law].low)

    def longest(self, delay: float) -> float:
        """The most that `hold` can be."""
        if self.measured is not None:
            return delay + self.measured.delays[-1]
        return delay + self.spread * _LAWS[self.law].high


def as_jitter(jitter: float | Jitter) -> Jitter:
    """A bare number of seconds is uniform."""
    return jitter if isinstance(jitter, Jitter) else Jitter(jitter)


def _read_measured(value: object, where: str) -> object:
    return MeasuredDelays.read(Path(str(value)), where)


_CORRELATION = {"correlation": scalar(parse_fraction)}
_DRAWN = {"spread": scalar(parse_time), "law": scalar(str), **_CORRELATION}
_MEASURED = {"file": _read_measured, **_CORRELATION}
