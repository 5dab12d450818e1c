"""Distributions of jitter: those of netem, delay + spread·x, or measured ones; never negative.

x lies on -1 to 1 for `uniform`. The others are those of iproute2's generators normal.c, pareto.c
and paretonormal.c, as quantile functions of a uniform u. Their tables hold x from -4 to 4 at most,
so x is cut off there:

    normal          x = Φ⁻¹(u), the standard normal distribution
    pareto          x = 4/3·((1 - u)^(-1/3) - 3/2), of shape 3, shifted to mean 0; from -2/3
    paretonormal    x = (normal + 3·pareto)/4 at the same u

The cut concerns 1.1 % of pareto, which then has mean -0.03 and standard deviation 0.82.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from typing_extensions import override

from testbed.config.one_of import Form, OneOf
from testbed.config.written import FieldError, write_fields
from testbed.links.measured import DelaysFile, MeasuredDelays
from testbed.links.quantities import Fraction, Time

DistributionName = Literal["uniform", "normal", "pareto", "paretonormal"]

UNIFORM: DistributionName = "uniform"
_CUT = 4.0
_NORMAL = NormalDist()
_TINY = 2.0**-60  # replaces u = 0, where the normal distribution has no quantile


class _Distribution(NamedTuple):
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


_DISTRIBUTIONS: dict[DistributionName, _Distribution] = {
    UNIFORM: _Distribution(_uniform, -1.0, 1.0),
    "normal": _Distribution(_normal, -_CUT, _CUT),
    "pareto": _Distribution(_pareto, -2 / 3, _CUT),
    "paretonormal": _Distribution(_paretonormal, -1.5, _CUT),
}


class Jitter(msgspec.Struct, frozen=True):
    """The distribution of the time for which packets are held, around the delay of the link.

    spread: the scale of `law`, in seconds; for `uniform` the largest difference from the delay.
    law: the name of the distribution.
    measured: delays to add to the link's, instead of `law` and `spread`.
    correlation: of each packet with the one before, from 0; see CorrelatedUniform.

    Raises FieldError, with the scenario's key, for a negative spread and for a correlation outside
    0 to 1.
    """

    spread: float = 0.0
    law: DistributionName = UNIFORM
    measured: MeasuredDelays | None = None
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not self.spread >= 0:
            raise FieldError("spread", "it must not be negative")
        if not 0 <= self.correlation < 1:
            raise FieldError("correlation", "it must be at least 0% and less than 100%")

    @property
    def plain(self) -> bool:
        """True if the distribution is uniform and packets are independent."""
        return self.measured is None and self.correlation == 0 and self.law == UNIFORM

    @property
    def none(self) -> bool:
        """True if every packet is held for the same time."""
        return self.measured is None and self.spread == 0

    def hold(self, delay: float, u: float) -> float:
        """Return the seconds to hold a packet; `delay` in seconds, `u` uniform on [0, 1)."""
        if self.measured is not None:
            return delay + self.measured.quantile(u)
        return max(0.0, delay + self.spread * _DISTRIBUTIONS[self.law].quantile(u))

    def shortest(self, delay: float) -> float:
        """Return the smallest value of `hold`, in seconds."""
        if self.measured is not None:
            return delay + self.measured.delays[0]
        return max(0.0, delay + self.spread * _DISTRIBUTIONS[self.law].low)

    def longest(self, delay: float) -> float:
        """Return the largest value of `hold`, in seconds."""
        if self.measured is not None:
            return delay + self.measured.delays[-1]
        return delay + self.spread * _DISTRIBUTIONS[self.law].high


def as_jitter(jitter: float | Jitter) -> Jitter:
    """Return a Jitter as it is, and a bare number of seconds as the spread of `uniform`."""
    return jitter if isinstance(jitter, Jitter) else Jitter(jitter)


class DrawnJitter(Form, frozen=True):
    """Jitter by a named distribution."""

    spread: Time
    """The largest difference from the delay for `uniform`, the scale of the others, e.g. "5ms"."""
    law: DistributionName
    """The distribution, by netem's name, e.g. normal."""
    correlation: Fraction = 0.0
    """The correlation of each packet with the one before, e.g. "25%"."""

    @override
    def value(self) -> Jitter:
        return Jitter(self.spread, self.law, correlation=self.correlation)


class MeasuredJitter(Form, frozen=True):
    """Jitter by measured delays, which are added to the link's."""

    file: DelaysFile
    """A file with one delay per line, in milliseconds, e.g. ./delays.txt."""
    correlation: Fraction = 0.0
    """The correlation of each packet with the one before, e.g. "25%"."""

    @override
    def value(self) -> Jitter:
        return Jitter(measured=self.file, correlation=self.correlation)


if TYPE_CHECKING:
    JitterField = float | Jitter
else:

    class JitterField(OneOf):
        """The spread of the uniform distribution, or a mapping."""

        text = Time
        forms = (MeasuredJitter, DrawnJitter)

        @override
        @classmethod
        def write(cls, value: JitterField) -> str | dict[str, Any]:
            if not isinstance(value, Jitter):
                return Time.write(value)
            if value.measured is not None:
                return write_fields(MeasuredJitter(value.measured, value.correlation))
            return write_fields(DrawnJitter(value.spread, value.law, value.correlation))
