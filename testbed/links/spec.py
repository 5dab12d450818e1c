"""The settings of a link.

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
"""The order of these keys in results, which must not change; other keys follow."""


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
        # Those of the generated fields below that code of this project reads by name.
        loss: LossField = 0.0
        duplicate: Fraction = 0.0
        corrupt: Fraction = 0.0
        reorder: Fraction = 0.0
else:

    class ConstantRate(Text):
        """A rate in bit/s, or None for no limit."""

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

    Besides the fields below there is one for each impairment of testbed.links.impairments.

    Raises FieldError, with the scenario's key, for a value that is not possible.
    """

    rate: RateField = None
    """The rate, e.g. "15mbit", unlimited by default, or {mahimahi: FILE}; at 0 packets wait."""
    delay: Time = 0.0
    """The one-way propagation delay, e.g. "43ms"."""
    jitter: JitterField = 0.0
    """The spread of the delay, uniform on delay ± jitter, e.g. "5ms", or a mapping.

    Packets stay in order.
    """
    queue: QueueField = 0
    """The most that waits or is being sent, e.g. "512KiB", "100packets" or "50ms", or a mapping.

    By default 200 ms at the rate, at least 64 KiB. Without a rate nothing waits.
    """
    mtu: Size = MTU
    """The largest IP packet, at the sending interface and on the link, e.g. "1400B"."""

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
                f"it must not be more than the delay, {format_time(self.delay)}, since no packet "
                "can arrive before it is sent",
            )
        for kind, value in self.impairments():
            try:
                kind.check(value)
            except ValueError as error:
                raise FieldError(kind.key, str(error)) from None
            if issubclass(kind, FlightImpairment) and self.delay == 0:
                raise FieldError(
                    kind.key, "it needs a delay, since only delayed packets can be overtaken"
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
        """Read a spec as a scenario writes it.

        Raises TestbedError, beginning with `where` and the key, for an unknown key or a value that
        is not possible.
        """
        try:
            return cls(**cls.parse_fields(mapping, where))
        except FieldError as error:
            raise TestbedError(f"{where}.{error}") from None

    @staticmethod
    def parse_fields(mapping: Mapping[str, object], where: str) -> dict[str, Any]:
        """Read some fields of a spec; rules between fields are not checked.

        Raises TestbedError, beginning with `where` and the key.
        """
        return _given(convert(mapping, SomeFields, f"{where}."), mapping)

    def impairments(self) -> Iterator[tuple[type[Impairment], Any]]:
        """Yield each impairment that is set, with its value, in the order of their positions."""
        for kind in impairments():
            if (value := getattr(self, kind.key)) != kind.default:
                yield kind, value

    @property
    def mean_rate(self) -> float | None:
        """The rate in bit/s, for a trace its mean; None if unlimited."""
        return self.rate.mean_rate if isinstance(self.rate, DeliveryTrace) else self.rate

    @property
    def stands_still(self) -> bool:
        """True if the rate is 0, so that all packets wait."""
        return self.rate == 0

    @property
    def lets_pass(self) -> bool:
        """True if packets can arrive."""
        return not self.stands_still and self.loss != 1

    @property
    def reorders(self) -> bool:
        """True if packets may overtake others."""
        return any(issubclass(kind, FlightImpairment) for kind, _ in self.impairments())

    @property
    def intact(self) -> float:
        """Of the packets that `loss` lets through, the share that receivers accept."""
        return math.prod(1 - kind.spoiled(value) for kind, value in self.impairments())

    @property
    def shortest_hold(self) -> float:
        """The shortest time for which delay and jitter hold a packet, in seconds."""
        return 0.0 if self.reorders else as_jitter(self.jitter).shortest(self.delay)

    @property
    def longest_hold(self) -> float:
        """The longest time for which delay and jitter hold a packet, in seconds."""
        return as_jitter(self.jitter).longest(self.delay)

    def to_mapping(self) -> dict[str, Any]:
        """Return every field, defaults included, in the form from which `parse` reads this spec."""
        written = write_fields(self)
        return {key: written[key] for key in SomeFields.__struct_fields__}


_kinds = {each.name: each.type for each in msgspec.structs.fields(LinkSpec)}
if hidden := {kind.key for kind in impairments()} & set(LinkSpec.__annotations__):
    raise TypeError(f"an impairment has the key of another field of a link: {', '.join(hidden)}")

SomeFields = msgspec.defstruct(
    "SomeFields",
    [(key, _kinds[key], msgspec.UNSET) for key in dict.fromkeys([*_FIRST_KEYS, *_kinds])],
    frozen=True,
    forbid_unknown_fields=True,
)
"""Some fields of a LinkSpec as a scenario writes them; the others are UNSET."""


def read_fields(mapping: Mapping[str, object]) -> dict[str, Any]:
    """Read some fields of a LinkSpec. Raises FieldError, with the key."""
    return _given(convert_part(mapping, SomeFields), mapping)


def _given(fields: msgspec.Struct, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(fields, name) for name in names}


@dataclass(frozen=True, slots=True)
class Duplex:
    """Both directions of a link.

    `up` leads away from the link's end nearer the device, its first node in the topology.
    """

    up: LinkSpec
    down: LinkSpec


def default_queue(rate: float | None) -> int:
    """Return the default limit of a queue in bytes: 200 ms at `rate` bit/s, at least 64 KiB."""
    if rate is None:
        return _SMALLEST_DEFAULT_QUEUE
    return max(_SMALLEST_DEFAULT_QUEUE, round(rate / 8 * _DEFAULT_QUEUE_SECONDS))
