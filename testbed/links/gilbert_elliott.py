"""Bursty packet loss: the two-state chain of Gilbert (1960) and Elliott (1963).

A packet finds the link good or bad and is lost with that state's probability; then the link goes
from good to bad with probability p, or from bad to good with probability r. This is netem's
`loss gemodel p r 1-h 1-k`, where h and k are the probabilities to get through in the bad and the
good state, so that 1-h and 1-k are those of loss.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from testbed.bounds import MOST_PACKETS
from testbed.config.one_of import Form
from testbed.config.written import FieldError
from testbed.links.keyed_random import KeyedUniform
from testbed.links.quantities import Fraction, Text
from testbed.links.units import format_fraction, parse_number

_LENGTH_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": [4]}

if TYPE_CHECKING:
    BurstLength = float
else:

    class BurstLength(Text):
        """A number of packets, not always whole."""

        parse, format = partial(parse_number, what="packets", most=MOST_PACKETS), repr
        schema = _LENGTH_SCHEMA


class GilbertElliott(Form, frozen=True, omit_defaults=False):
    """The parameters of the chain, all probabilities.

    Raises FieldError, by the scenario's key, for a chain that cannot be.
    """

    p: Fraction
    """From good to bad, after each packet."""
    r: Fraction
    """From bad to good; a stay in bad lasts 1/r packets in the mean."""
    bad_loss: Fraction = msgspec.field(default=1.0, name="1-h")
    """Loss in the bad state. By default everything is lost."""
    good_loss: Fraction = msgspec.field(default=0.0, name="1-k")
    """Loss in the good state. By default nothing is lost."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise FieldError(field.encode_name, "it must lie between 0% and 100%")
        if self.r == 0:
            raise FieldError("r", "it must be more than 0%, or no burst would ever end")

    @classmethod
    def of_bursts(cls, mean: float, burst: float) -> GilbertElliott:
        """The chain that loses the share `mean`, in runs of `burst` packets in the mean.

        r = 1/burst and p = mean·r/(1 - mean). burst = 1/(1 - mean) is independent loss; shorter
        bursts spread losses out, down to the shortest at p = 1.
        """
        if not 0 <= mean < 1:
            raise FieldError(
                "mean",
                f"{format_fraction(mean)} leaves no end to a burst; it must be less than 100%",
            )
        least = max(1.0, mean / (1 - mean))
        if not least <= burst:
            raise FieldError(
                "burst",
                f"{burst:g} packets are too few for a mean loss of {format_fraction(mean)}; "
                f"it must be at least {least:g}",
            )
        return cls(p=min(1.0, mean / (1 - mean) / burst), r=1 / burst)

    @property
    def mean(self) -> float:
        """The share of packets lost in the long run."""
        bad = self.p / (self.p + self.r)
        return bad * self.bad_loss + (1 - bad) * self.good_loss


class Bursts(Form, frozen=True):
    """The chain by its mean loss and the mean length of its bursts."""

    mean: Fraction
    """The share of packets lost."""
    burst: BurstLength
    """The length of runs of lost packets, in the mean."""

    @override
    def value(self) -> GilbertElliott:
        return GilbertElliott.of_bursts(self.mean, self.burst)


def as_chain(loss: float | GilbertElliott) -> GilbertElliott:
    """Independent loss as a chain that is alike in both states."""
    if isinstance(loss, GilbertElliott):
        return loss
    return GilbertElliott(p=0.0, r=1.0, bad_loss=loss, good_loss=loss)


class GilbertElliottLoss:
    """Loses packets as the chain says; it begins in the good state, as netem does.

    The chain moves once per packet. Both states read the packet's number the same way, small for
    bad: where p + r < 1, chains that differ for a while (in where they began, or by a change)
    meet again after a few packets and from then on lose the same ones.
    """

    def __init__(self, state: KeyedUniform, loss: KeyedUniform) -> None:
        self._state = state
        self._loss = loss
        self._bad = False

    def loses(self, number: int, model: GilbertElliott) -> bool:
        """Whether packet `number` is lost; to be asked once for each packet, in order."""
        probability = model.bad_loss if self._bad else model.good_loss
        self._bad = self._state(number) < (1 - model.r if self._bad else model.p)
        return probability > 0 and self._loss(number) < probability
