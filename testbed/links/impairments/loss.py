"""Packet loss: independent, in bursts, or as recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from testbed.config.one_of import OneOf
from testbed.config.written import write_fields
from testbed.links.gilbert_elliott import Bursts, GilbertElliott, GilbertElliottLoss
from testbed.links.impairments.base import ArrivalImpairment, Setting
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.loss_trace import LossTrace, RecordedLoss
from testbed.links.packet import Packet
from testbed.links.quantities import Fraction

if TYPE_CHECKING:
    LossField = float | GilbertElliott | LossTrace
else:

    class LossField(OneOf):
        """A probability, a chain that loses packets in bursts, or a trace of losses."""

        text = Fraction
        forms = (RecordedLoss, GilbertElliott, Bursts)

        @override
        @classmethod
        def write(cls, value: LossField) -> str | dict[str, Any]:
            if isinstance(value, LossTrace):
                value = RecordedLoss(value)
            return Fraction.write(value) if isinstance(value, float | int) else write_fields(value)


class Loss(ArrivalImpairment):
    """Loses packets, independently, in bursts or by a trace."""

    key = "loss"
    summary = (
        "probability that a packet is lost, independently of all others; or bursts of losses, as "
        "{mean, burst} or {p, r, 1-h, 1-k}; or {trace} with a file of recorded losses"
    )
    kind = LossField
    position = 10

    def __init__(self, key: RandomKey) -> None:
        self._uniform = KeyedUniform(key, "loss")
        self._bursts = GilbertElliottLoss(KeyedUniform(key, "burst"), self._uniform)

    @override
    @classmethod
    def check(cls, value: LossField) -> None:
        if isinstance(value, float | int):
            super().check(value)

    @override
    @classmethod
    def idle(cls, value: LossField) -> Iterator[tuple[str, str]]:
        if isinstance(value, LossTrace) and not any(value.lost):
            yield cls.key, "its trace loses no packet"
        elif isinstance(value, GilbertElliott):
            if value.p == 0:
                yield cls.key, "its bursts never begin"
            elif value.bad_loss == value.good_loss:
                yield cls.key, "it is the same in bursts and between them, so that there are none"

    @override
    def arrive(self, packet: Packet, value: LossField) -> list[Packet]:
        return [] if self._loses(packet.number, value) else [packet]

    def _loses(self, number: int, value: LossField) -> bool:
        if isinstance(value, GilbertElliott):
            return self._bursts.loses(number, value)
        if isinstance(value, LossTrace):
            return value.loses(number)
        return self._uniform(number) < value

    @override
    @classmethod
    def unsupported(cls, value: LossField) -> str:
        return "loss.trace (it loses at random only)" if isinstance(value, LossTrace) else ""

    @override
    @classmethod
    def netem_arguments(cls, value: LossField) -> list[str]:
        if not isinstance(value, GilbertElliott):
            return ["loss", _percent(_single(value))]
        # Always all four: tc takes 1 - p for a missing r, which is independent loss.
        return ["loss", "gemodel", *(_percent(each) for each in _gemodel(value).values())]

    @override
    @classmethod
    def netem_settings(cls, value: LossField, options: Mapping[str, Any]) -> list[Setting]:
        single = options.get("loss-random", {}).get("loss", 0.0)
        chain = _gemodel(value) if isinstance(value, GilbertElliott) else {}
        shown = options.get("loss-gemodel", {})
        return [
            Setting("loss", _single(value), single),
            *(
                Setting(f"loss gemodel {key}", chain.get(key, 0.0), shown.get(key, 0.0))
                for key in ("p", "r", "1-h", "1-k")
            ),
        ]


def _single(loss: LossField) -> float:
    return loss if isinstance(loss, float | int) else 0.0


def _gemodel(chain: GilbertElliott) -> dict[str, float]:
    """Return the parameters of the chain by tc's names, in the order of its arguments."""
    return {"p": chain.p, "r": chain.r, "1-h": chain.bad_loss, "1-k": chain.good_loss}


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.7f}%"
