"""What one link does to packets, as data.

`LinkSpec` describes ONE direction; `Duplex` pairs the two directions of a link. Rates and sizes
count whole Ethernet frames: payload, IP and transport headers and the 14-byte Ethernet header,
without preamble or frame check sequence, exactly as kernel netem counts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from typing_extensions import override

from testbed.config.convert import convert, convert_part
from testbed.config.one_of import OneOf
from testbed.config.written import FieldError, write_fields
from testbed.errors import TestbedError
from testbed.links.impairments.base import FlightImpairment, Impairment, impairments
from testbed.links.jitter import UNIFORM, Jitter, JitterField, as_jitter
from testbed.links.mahimahi_trace import DeliveryTrace, RecordedDeliveries
from testbed.links.quantities import Size, Text, Time
from testbed.links.queue import FULL_FRAME, Queue, QueueField, as_queue
from testbed.links.units import (
    format_rate,
    format_size,
    format_time,
    json_schema,
    parse_rate_or_zero,
)

ETHERNET_HEADER = 14  # bytes
MTU = FULL_FRAME - ETHERNET_HEADER
UNLIMITED = "unlimited"

_SMALLEST_MTU = 68  # bytes: RFC 791

_DEFAULT_QUEUE_SECONDS = 0.2
_SMALLEST_DEFAULT_QUEUE = 64 * 1024

_FIRST_KEYS = ("rate", "delay", "jitter", "loss", "queue", "duplicate", "corrupt", "reorder", "mtu")
"""The order in which results have always had these keys; others come behind."""


_RATE_SCHEMA = {"anyOf": [{"const": UNLIMITED}, json_schema("rate")]}


def _parse_rate(text: str) -> float | None:
    return None if text == UNLIMITED else parse_rate_or_zero(text)


def _format_rate(rate: float | None) -> str:
    return UNLIMITED if rate is None else format_rate(rate)


if TYPE_CHECKING:
    from testbed.links.impairments.loss import LossField
    from testbed.links.quantities import Fraction

    RateField = float | DeliveryTrace | None

    class _Impaired(msgspec.Struct, frozen=True, kw_only=True):
        # Of the fields below those that code of this project reads by name.
        loss: LossField = 0.0
        duplicate: Fraction = 0.0
        corrupt: Fraction = 0.0
        reorder: Fraction = 0.0
else:

    class ConstantRate(Text):
        """Bits per second, or no limit."""

        parse, format = _parse_rate, _format_rate
        schema = _RATE_SCHEMA

    class RateField(OneOf):
        """A constant rate, or a trace of deliveries."""

        text = ConstantRate
        forms = (RecordedDeliveries,)

        @override
        @classmethod
        def write(cls, value: RateField) -> str | dict[str, Any]:
            if isinstance(value, DeliveryTrace):
                return write_fields(RecordedDeliveries(value))
            return ConstantRate.write(value)

    _Impaired = msgspec.defstruct(
        "_Impaired",
        [(each.key, each.kind, each.default) for each in impairments()],
        frozen=True,
        kw_only=True,
    )


class LinkSpec(_Impaired, frozen=True):
    """One direction of a link: loss and errors, then a queue and rate server, then delay.

    Each impairment of testbed.links.impairments has a field by its key besides these.

    Raises FieldError, by the scenario's key, for a value no link can have.
    """

    rate: RateField = None
    """Bits sent per second, unlimited (None) by default, at 0 all waits; or a trace."""
    delay: Time = 0.0
    """One-way propagation, in seconds."""
    jitter: JitterField = 0.0
    """In seconds, the delay being uniform on delay ± jitter; or another law. It never reorders."""
    queue: QueueField = 0
    """Bytes waiting for or in the rate server before tail drop, or another queue.

    The default, 0 here, is 200 ms at the rate and at least 64 KiB; without a rate nothing queues.
    """
    mtu: Size = MTU
    """The largest IP packet in bytes, at the sending interface and on the link."""

    def __post_init__(self) -> None:
        if isinstance(self.rate, float | int) and not self.rate >= 0:
            raise FieldError("rate", "it must not be negative")
        if not self.delay >= 0:
            raise FieldError("delay", "it must not be negative")
        if not isinstance(self.jitter, Jitter) and not self.jitter >= 0:
            raise FieldError("jitter", "it must not be negative")
        jitter = as_jitter(self.jitter)
        if jitter.plain or jitter.none:
            msgspec.structs.force_setattr(self, "jitter", jitter.spread)
        if jitter.law == UNIFORM and not jitter.spread <= self.delay:
            raise FieldError(
                "jitter",
                f"it must not be more than the delay, {format_time(self.delay)}, for no packet "
                "arrives before it was sent",
            )
        for kind, value in self.impairments():
            try:
                kind.check(value)
            except ValueError as error:
                raise FieldError(kind.key, str(error)) from None
            if issubclass(kind, FlightImpairment) and self.delay == 0:
                raise FieldError(
                    kind.key, "it needs a delay, for only held packets can be overtaken"
                )
        if not _SMALLEST_MTU <= self.mtu <= MTU:
            raise FieldError("mtu", f"it must lie between {_SMALLEST_MTU}B and {MTU}B")
        if self.queue == 0:
            msgspec.structs.force_setattr(self, "queue", default_queue(self.mean_rate))
        elif not isinstance(self.queue, Queue) and self.queue < FULL_FRAME:
            raise FieldError(
                "queue", f"{format_size(self.queue)} does not hold one full frame, {FULL_FRAME}B"
            )
        if self.stands_still and as_queue(self.queue).unit == "seconds":
            raise FieldError(
                "queue", "at rate 0 a queue in seconds has no size; give it in bytes or packets"
            )

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> LinkSpec:
        """Read a spec as a scenario writes it; `where` names its place in error messages.

        Raises TestbedError, in one sentence, for an unknown key or a bad value.
        """
        try:
            return cls(**cls.parse_fields(mapping, where))
        except FieldError as error:
            raise TestbedError(f"{where}.{error}") from None

    @staticmethod
    def parse_fields(mapping: Mapping[str, object], where: str) -> dict[str, Any]:
        """Read some fields of a spec, without checking that they go together."""
        return _given(convert(mapping, SomeFields, f"{where}."), mapping)

    def impairments(self) -> Iterator[tuple[type[Impairment], Any]]:
        """Yield each impairment that is asked for, with its value, as packets meet them."""
        for kind in impairments():
            if (value := getattr(self, kind.key)) != kind.default:
                yield kind, value

    @property
    def mean_rate(self) -> float | None:
        """Bit/s; of a trace in the mean of the whole of it."""
        return self.rate.mean_rate if isinstance(self.rate, DeliveryTrace) else self.rate

    @property
    def stands_still(self) -> bool:
        """Whether nothing is sent, so that all waits."""
        return self.rate == 0

    @property
    def lets_pass(self) -> bool:
        """Whether any packet arrives."""
        return not self.stands_still and self.loss != 1

    @property
    def reorders(self) -> bool:
        """True if packets may overtake others."""
        return any(issubclass(kind, FlightImpairment) for kind, _ in self.impairments())

    @property
    def intact(self) -> float:
        """The share of the packets not lost by `loss` that receivers accept."""
        return math.prod(1 - kind.spoiled(value) for kind, value in self.impairments())

    @property
    def shortest_hold(self) -> float:
        """The least that delay and jitter can hold a packet, in seconds."""
        return 0.0 if self.reorders else as_jitter(self.jitter).shortest(self.delay)

    @property
    def longest_hold(self) -> float:
        """The most that delay and jitter can hold a packet, in seconds."""
        return as_jitter(self.jitter).longest(self.delay)

    def to_mapping(self) -> dict[str, Any]:
        """Write every field, defaults included, so that `parse` returns this very spec."""
        written = write_fields(self)
        return {key: written[key] for key in SomeFields.__struct_fields__}


_kinds = {each.name: each.type for each in msgspec.structs.fields(LinkSpec)}
SomeFields = msgspec.defstruct(
    "SomeFields",
    [(key, _kinds[key], msgspec.UNSET) for key in dict.fromkeys([*_FIRST_KEYS, *_kinds])],
    frozen=True,
    forbid_unknown_fields=True,
)
"""Fields of a LinkSpec as a scenario writes them, those that are not given unset."""


def read_fields(mapping: Mapping[str, object]) -> dict[str, Any]:
    """Read them where the place is not known; FieldError."""
    return _given(convert_part(mapping, SomeFields), mapping)


def _given(fields: msgspec.Struct, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(fields, name) for name in names}


@dataclass(frozen=True, slots=True)
class Duplex:
    """Both directions of a link: `up` from its first-declared node, nearer the device."""

    up: LinkSpec
    down: LinkSpec


def default_queue(rate: float | None) -> int:
    """Bytes of 200 ms at `rate` bit/s, at least 64 KiB."""
    if rate is None:
        return _SMALLEST_DEFAULT_QUEUE
    return max(_SMALLEST_DEFAULT_QUEUE, round(rate / 8 * _DEFAULT_QUEUE_SECONDS))
