"""Bursty packet loss: the two-state chain of Gilbert (1960) and Elliott (1963).

The link is in the good or the bad state, and each packet is lost with the probability of that
state. After each packet the link goes from good to bad with probability p, or from bad to good with
probability r. This is netem's `loss gemodel p r 1-h 1-k`: h and k are the probabilities that a
packet arrives in the bad and in the good state, so 1-h and 1-k are those of loss.
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
        """A mean number of packets, which need not be whole."""

        parse, format = partial(parse_number, what="packets", most=MOST_PACKETS), repr
        schema = _LENGTH_SCHEMA


class GilbertElliott(Form, frozen=True, omit_defaults=False):
    """The parameters of the chain, all probabilities.

    Raises FieldError, with the scenario's key, for one outside 0% to 100% and for r = 0.
    """

    p: Fraction
    """The probability to go from good to bad after a packet, e.g. "1%"."""
    r: Fraction
    """The probability to go from bad to good, e.g. "25%"; 1/r is the mean length of bad states."""
    bad_loss: Fraction = msgspec.field(default=1.0, name="1-h")
    """The loss in the bad state, e.g. "90%"; by default everything is lost."""
    good_loss: Fraction = msgspec.field(default=0.0, name="1-k")
    """The loss in the good state, e.g. "0.1%"; by default nothing is lost."""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise FieldError(field.encode_name, "it must lie between 0% and 100%")
        if self.r == 0:
            raise FieldError("r", "it must be more than 0%, or no burst would ever end")

    @classmethod
    def of_bursts(cls, mean: float, burst: float) -> GilbertElliott:
        """Return the chain that loses the share `mean`, in runs of `burst` packets on average.

        r = 1/burst and p = mean·r/(1 - mean). burst = 1/(1 - mean) is independent loss; with
        shorter bursts losses are more even, down to the shortest possible at p = 1. Raises
        FieldError for a mean of 100% and for bursts too short for the mean.
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
    """The chain, given by its mean loss and the mean length of its bursts."""

    mean: Fraction
    """The share of packets lost, e.g. "1%"."""
    burst: BurstLength
    """The mean number of packets lost in a row, e.g. 4."""

    @override
    def value(self) -> GilbertElliott:
        return GilbertElliott.of_bursts(self.mean, self.burst)


def as_chain(loss: float | GilbertElliott) -> GilbertElliott:
    """Return a chain as it is, and independent loss as one with the same loss in both states."""
    if isinstance(loss, GilbertElliott):
        return loss
    return GilbertElliott(p=0.0, r=1.0, bad_loss=loss, good_loss=loss)


class GilbertElliottLoss:
    """Loses packets by the chain, which begins in the good state, as netem's does.

    The chain moves once per packet, by one random number: small values lead to the bad state from
    either state. So if p + r < 1, two chains in different states (after a change of the link, for
    example) are in the same state again after a few packets, and then lose the same packets.
    """

    def __init__(self, state: KeyedUniform, loss: KeyedUniform) -> None:
        self._state = state
        self._loss = loss
        self._bad = False

    def loses(self, number: int, model: GilbertElliott) -> bool:
        """Return True if packet `number` is lost; call once per packet, in order."""
        probability = model.bad_loss if self._bad else model.good_loss
        self._bad = self._state(number) < (1 - model.r if self._bad else model.p)
        return probability > 0 and self._loss(number) < probability
