"""Laws of jitter: those of netem, delay + spread·x, or one that was measured; never negative.

x lies on -1 to 1 for `uniform`. The other laws are those of iproute2's generators normal.c,
pareto.c and paretonormal.c, as quantile functions of a uniform u; their tables hold x on -4 to 4
at most, so x is cut off there:

    normal          x = Φ⁻¹(u), the standard normal law
    pareto          x = 4/3·((1 - u)^(-1/3) - 3/2), of shape 3, shifted to mean 0; from -2/3
    paretonormal    x = (normal + 3·pareto)/4 at the same u

The cut meets 1.1 % of pareto and leaves it a mean of -0.03 and a standard deviation of 0.82.
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

LawName = Literal["uniform", "normal", "pareto", "paretonormal"]

UNIFORM: LawName = "uniform"
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


_LAWS: dict[LawName, _Law] = {
    UNIFORM: _Law(_uniform, -1.0, 1.0),
    "normal": _Law(_normal, -_CUT, _CUT),
    "pareto": _Law(_pareto, -2 / 3, _CUT),
    "paretonormal": _Law(_paretonormal, -1.5, _CUT),
}


class Jitter(msgspec.Struct, frozen=True):
    """A law and its spread in seconds: the most that `uniform` departs from the delay.

    measured: delays to add to the link's, instead of a law and a spread.
    correlation: of each packet with the one before; see CorrelatedUniform.

    Raises FieldError, by the scenario's key, for what is no jitter.
    """

    spread: float = 0.0
    law: LawName = UNIFORM
    measured: MeasuredDelays | None = None
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not self.spread >= 0:
            raise FieldError("spread", "it must not be negative")
        if not 0 <= self.correlation < 1:
            raise FieldError("correlation", "it must be at least 0% and less than 100%")

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


class DrawnJitter(Form, frozen=True):
    """Jitter by a law."""

    spread: Time
    """The most that `uniform` departs from the delay; the unit of the other laws."""
    law: LawName
    """The law, as netem has it."""
    correlation: Fraction = 0.0
    """Of each packet with the one before."""

    @override
    def value(self) -> Jitter:
        return Jitter(self.spread, self.law, correlation=self.correlation)


class MeasuredJitter(Form, frozen=True):
    """Jitter by delays that were measured, to be added to the link's."""

    file: DelaysFile
    """The file, with one delay a line in milliseconds."""
    correlation: Fraction = 0.0
    """Of each packet with the one before."""

    @override
    def value(self) -> Jitter:
        return Jitter(measured=self.file, correlation=self.correlation)


if TYPE_CHECKING:
    JitterField = float | Jitter
else:

    class JitterField(OneOf):
        """A spread of the uniform law, or a mapping."""

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
