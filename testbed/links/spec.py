"""What one link does to packets, as data.

`LinkSpec` describes ONE direction; `Duplex` pairs the two directions of a link. Rates and sizes
count whole Ethernet frames: payload, IP and transport headers and the 14-byte Ethernet header,
without preamble or frame check sequence, exactly as kernel netem counts them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.links.field_readers import FieldReader, read_fields, require, scalar
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import UNIFORM, Jitter, as_jitter
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME, Queue, as_queue
from testbed.links.units import (
    format_fraction,
    format_rate,
    format_size,
    format_time,
    parse_fraction,
    parse_rate_or_zero,
    parse_size,
    parse_time,
)

ETHERNET_HEADER = 14  # bytes
MTU = FULL_FRAME - ETHERNET_HEADER
UNLIMITED = "unlimited"

_SMALLEST_MTU = 68  # bytes: RFC 791

_DEFAULT_QUEUE_SECONDS = 0.2
_SMALLEST_DEFAULT_QUEUE = 64 * 1024


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction of a link: loss and errors, then a queue and rate server, then delay.

    rate: bit/s, None = not limited, 0 = nothing is sent, but waits; or the trace of when packets
        could be delivered.
    delay: one-way propagation, seconds.
    jitter: seconds, the delay being uniform on delay ± jitter; or a Jitter of another law. It
        never reorders packets.
    loss: probability that a packet is lost, independently of all others (Bernoulli), or the
        chain that loses packets in bursts, or a trace of recorded losses.
    queue: bytes waiting for or in the rate server before tail drop, or another Queue; 0 asks for
        the default, 200 ms at the rate and at least 64 KiB. Without a rate nothing queues.
    duplicate: probability that a packet that is not lost enters the queue twice.
    corrupt: probability that one bit behind the Ethernet header is wrong.
    reorder: probability that a packet is not held for delay and jitter, so that it overtakes.
    mtu: the largest IP packet in bytes, at the sending interface and on the link.

    Raises ValueError, starting with the field's name, for a value no link can have.
    """

    rate: float | DeliveryTrace | None = None
    delay: float = 0.0
    jitter: float | Jitter = 0.0
    loss: float | GilbertElliott | LossTrace = 0.0
    queue: int | Queue = 0
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0
    mtu: int = MTU

    def __post_init__(self) -> None:
        if isinstance(self.rate, float | int) and not self.rate >= 0:
            raise ValueError("rate: it must not be negative")
        if not self.delay >= 0:
            raise ValueError("delay: it must not be negative")
        if not isinstance(self.jitter, Jitter) and not self.jitter >= 0:
            raise ValueError("jitter: it must not be negative")
        jitter = as_jitter(self.jitter)
        if jitter.plain or jitter.none:
            object.__setattr__(self, "jitter", jitter.spread)
        if jitter.law == UNIFORM and not jitter.spread <= self.delay:
            raise ValueError(
                f"jitter: it must not be more than the delay, {format_time(self.delay)}, "
                "for no packet arrives before it was sent"
            )
        for name in ("loss", "duplicate", "corrupt", "reorder"):
            share = getattr(self, name)
            if isinstance(share, float | int) and not 0 <= share <= 1:
                raise ValueError(f"{name}: it must lie between 0% and 100%")
        if self.reorder > 0 and self.delay == 0:
            raise ValueError("reorder: it needs a delay, for only held packets can be overtaken")
        if not _SMALLEST_MTU <= self.mtu <= MTU:
            raise ValueError(f"mtu: it must lie between {_SMALLEST_MTU}B and {MTU}B")
        if self.queue == 0:
            object.__setattr__(self, "queue", default_queue(self.mean_rate))
        elif not isinstance(self.queue, Queue) and self.queue < FULL_FRAME:
            raise ValueError(
                f"queue: {format_size(self.queue)} does not hold one full frame, {FULL_FRAME}B"
            )
        if self.stands_still and as_queue(self.queue).unit == "seconds":
            raise ValueError(
                "queue: at rate 0 a queue in seconds has no size; give it in bytes or packets"
            )

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> "LinkSpec":
        """Read a spec as a scenario writes it; `where` names its place in error messages.

        Raises TestbedError, in one sentence, for an unknown key or a bad value.
        """
        try:
            return cls(**cls.parse_fields(mapping, where))
        except ValueError as error:
            raise TestbedError(f"{where}.{error}") from error

    @staticmethod
    def parse_fields(mapping: Mapping[str, object], where: str) -> dict[str, Any]:
        """Read some fields of a spec, without checking that they go together."""
        return read_fields(mapping, _READERS, where)

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
    def shortest_hold(self) -> float:
        """The least that delay and jitter can hold a packet, in seconds."""
        return 0.0 if self.reorder > 0 else as_jitter(self.jitter).shortest(self.delay)

    @property
    def longest_hold(self) -> float:
        """The most that delay and jitter can hold a packet, in seconds."""
        return as_jitter(self.jitter).longest(self.delay)

    def to_mapping(self) -> dict[str, Any]:
        """Write every field, defaults included, so that `parse` returns this very spec."""
        return {name: writer(getattr(self, name)) for name, writer in _WRITERS.items()}


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


def _read_rate(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        values = read_fields(value, {"mahimahi": _file(DeliveryTrace.read)}, where)
        require(value, ("mahimahi",), where)
        return values["mahimahi"]
    return scalar(lambda text: None if text == UNLIMITED else parse_rate_or_zero(text))(
        value, where
    )


def _read_jitter(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        return Jitter.parse(value, where)
    return scalar(parse_time)(value, where)


def _read_loss(value: object, where: str) -> object:
    if isinstance(value, Mapping) and "trace" in value:
        return read_fields(value, {"trace": _file(LossTrace.read)}, where)["trace"]
    if isinstance(value, Mapping):
        return GilbertElliott.parse(value, where)
    return scalar(parse_fraction)(value, where)


def _read_queue(value: object, where: str) -> object:
    queue = Queue.parse(value, where)
    plain = queue.unit == "bytes" and queue.discipline == "drop_tail"
    return int(queue.limit) if plain else queue


def _file(read: Callable[[Path, str], object]) -> FieldReader:
    return lambda value, where: read(Path(str(value)), where)


def _write_rate(rate: float | DeliveryTrace | None) -> str | dict[str, str]:
    if isinstance(rate, DeliveryTrace):
        return {"mahimahi": str(rate.path)}
    return UNLIMITED if rate is None else format_rate(rate)


def _write_jitter(jitter: float | Jitter) -> str | dict[str, str]:
    return jitter.to_mapping() if isinstance(jitter, Jitter) else format_time(jitter)


def _write_loss(loss: float | GilbertElliott | LossTrace) -> str | dict[str, str]:
    if isinstance(loss, LossTrace):
        return {"trace": str(loss.path)}
    return loss.to_mapping() if isinstance(loss, GilbertElliott) else format_fraction(loss)


def _write_queue(queue: int | Queue) -> str | dict[str, str]:
    return queue.to_mapping() if isinstance(queue, Queue) else format_size(queue)


_READERS: dict[str, FieldReader] = {
    "rate": _read_rate,
    "delay": scalar(parse_time),
    "jitter": _read_jitter,
    "loss": _read_loss,
    "queue": _read_queue,
    "duplicate": scalar(parse_fraction),
    "corrupt": scalar(parse_fraction),
    "reorder": scalar(parse_fraction),
    "mtu": scalar(parse_size),
}
_WRITERS: dict[str, Callable[[Any], Any]] = {
    "rate": _write_rate,
    "delay": format_time,
    "jitter": _write_jitter,
    "loss": _write_loss,
    "queue": _write_queue,
    "duplicate": format_fraction,
    "corrupt": format_fraction,
    "reorder": format_fraction,
    "mtu": format_size,
}
assert list(_READERS) == list(_WRITERS) == [field.name for field in fields(LinkSpec)]
