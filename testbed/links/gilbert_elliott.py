"""Bursty packet loss: the two-state chain of Gilbert (1960) and Elliott (1963).

A packet finds the link good or bad and is lost with that state's probability; then the link goes
from good to bad with probability p, or from bad to good with probability r. This is netem's
`loss gemodel p r 1-h 1-k`, where h and k are the probabilities to get through in the bad and the
good state, so that 1-h and 1-k are those of loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.bounds import MOST_PACKETS
from testbed.errors import TestbedError
from testbed.links.field_readers import read_fields, require, scalar
from testbed.links.keyed_random import KeyedUniform
from testbed.links.units import format_fraction, parse_fraction, parse_number


@dataclass(frozen=True, slots=True)
class GilbertElliott:
    """The parameters of the chain, all probabilities.

    p: from good to bad, after each packet.
    r: from bad to good; a stay in bad lasts 1/r packets in the mean.
    bad_loss: loss in the bad state, 1-h. By default everything is lost.
    good_loss: loss in the good state, 1-k. By default nothing is lost.

    Raises ValueError, starting with the scenario's key, for a chain that cannot be.
    """

    p: float
    r: float
    bad_loss: float = 1.0
    good_loss: float = 0.0

    def __post_init__(self) -> None:
        for key, field in _FIELDS.items():
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{key}: it must lie between 0% and 100%")
        if self.r == 0:
            raise ValueError("r: it must be more than 0%, or no burst would ever end")

    @classmethod
    def of_bursts(cls, mean: float, burst: float) -> "GilbertElliott":
        """The chain that loses the share `mean`, in runs of `burst` packets in the mean.

        r = 1/burst and p = mean·r/(1 - mean). burst = 1/(1 - mean) is independent loss; shorter
        bursts spread losses out, down to the shortest at p = 1.
        """
        if not 0 <= mean < 1:
            raise ValueError(
                f"mean: {format_fraction(mean)} leaves no end to a burst; it must be less than 100%"
            )
        least = max(1.0, mean / (1 - mean))
        if not least <= burst:
            raise ValueError(
                f"burst: {burst:g} packets are too few for a mean loss of {format_fraction(mean)}; "
                f"it must be at least {least:g}"
            )
        return cls(p=min(1.0, mean / (1 - mean) / burst), r=1 / burst)

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> "GilbertElliott":
        """Read `{mean, burst}` or `{p, r, 1-h, 1-k}`; TestbedError for anything else."""
        try:
            if "p" in mapping or "r" in mapping:
                values = read_fields(mapping, dict.fromkeys(_FIELDS, _FRACTION), where)
                require(mapping, ("p", "r"), where)
                return cls(**{_FIELDS[key]: value for key, value in values.items()})
            values = read_fields(mapping, {"mean": _FRACTION, "burst": _PACKETS}, where)
            require(mapping, ("mean", "burst"), where)
            return cls.of_bursts(**values)
        except ValueError as error:
            raise TestbedError(f"{where}.{error}") from error

    def to_mapping(self) -> dict[str, str]:
        """Write all four, so that `parse` returns these very parameters."""
        return {key: format_fraction(getattr(self, field)) for key, field in _FIELDS.items()}

    @property
    def mean(self) -> float:
        """The share of packets lost in the long run."""
        bad = self.p / (self.p + self.r)
        return bad * self.bad_loss + (1 - bad) * self.good_loss


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


_FIELDS = {"p": "p", "r": "r", "1-h": "bad_loss", "1-k": "good_loss"}  # by the scenario's key
_FRACTION = scalar(parse_fraction)
_PACKETS = scalar(lambda text: parse_number(text, "packets", MOST_PACKETS))
