"""What one link does to packets, as data.

`LinkSpec` describes ONE direction; `Duplex` pairs the two directions of a link. Rates and sizes
count whole Ethernet frames: payload, IP and transport headers and the 14-byte Ethernet header,
without preamble or frame check sequence, exactly as kernel netem counts them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from testbed.errors import TestbedError
from testbed.links.fields import Reader, read_fields, scalar
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import UNIFORM, Jitter, as_jitter
from testbed.links.units import (
    format_fraction,
    format_rate,
    format_size,
    format_time,
    parse_fraction,
    parse_rate,
    parse_size,
    parse_time,
)

FULL_FRAME = 1514  # bytes: a 1500-byte IP packet and its Ethernet header
UNLIMITED = "unlimited"

_DEFAULT_QUEUE_SECONDS = 0.2
_SMALLEST_DEFAULT_QUEUE = 64 * 1024


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction of a link: loss, then a tail-drop queue and rate server, then delay.

    rate: bit/s, None = not limited.
    delay: one-way propagation, seconds.
    jitter: seconds, the delay being uniform on delay ± jitter; or a Jitter of another law. It
        never reorders packets.
    loss: probability that a packet is lost, independently of all others (Bernoulli), or the
        chain that loses packets in bursts.
    queue: bytes waiting for or in the rate server before tail drop; 0 asks for the default,
        200 ms at the rate and at least 64 KiB. Without a rate nothing queues.

    Raises ValueError, starting with the field's name, for a value no link can have.
    """

    rate: float | None = None
    delay: float = 0.0
    jitter: float | Jitter = 0.0
    loss: float | GilbertElliott = 0.0
    queue: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0:
            raise ValueError("rate: it must be more than 0")
        if not self.delay >= 0:
            raise ValueError("delay: it must not be negative")
        if not isinstance(self.jitter, Jitter) and not self.jitter >= 0:
            raise ValueError("jitter: it must not be negative")
        jitter = as_jitter(self.jitter)
        if jitter.law == UNIFORM or jitter.spread == 0:
            object.__setattr__(self, "jitter", jitter.spread)
        if jitter.law == UNIFORM and not jitter.spread <= self.delay:
            raise ValueError(
                f"jitter: it must not be more than the delay, {format_time(self.delay)}, "
                "for no packet arrives before it was sent"
            )
        if not isinstance(self.loss, GilbertElliott) and not 0 <= self.loss <= 1:
            raise ValueError("loss: it must lie between 0% and 100%")
        if self.queue == 0:
            object.__setattr__(self, "queue", default_queue(self.rate))
        elif self.queue < FULL_FRAME:
            raise ValueError(
                f"queue: {format_size(self.queue)} does not hold one full frame, {FULL_FRAME}B"
            )

    @classmethod
    def parse(cls, mapping: Mapping[str, object], where: str) -> "LinkSpec":
        """Read a spec as a scenario writes it; `where` names its place in error messages.

        Raises TestbedError, in one sentence, for an unknown key or a bad value.
        """
        values = read_fields(mapping, _READERS, where)
        try:
            return cls(**values)
        except ValueError as error:
            raise TestbedError(f"{where}.{error}") from error

    @property
    def shortest_hold(self) -> float:
        """The least that delay and jitter can hold a packet, in seconds."""
        return as_jitter(self.jitter).shortest(self.delay)

    @property
    def longest_hold(self) -> float:
        """The most that delay and jitter can hold a packet, in seconds."""
        return as_jitter(self.jitter).longest(self.delay)

    def to_mapping(self) -> dict[str, str | dict[str, str]]:
        """Write every field, defaults included, so that `parse` returns this very spec."""
        return {
            "rate": UNLIMITED if self.rate is None else format_rate(self.rate),
            "delay": format_time(self.delay),
            "jitter": _written(self.jitter, format_time),
            "loss": _written(self.loss, format_fraction),
            "queue": format_size(self.queue),
        }


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


def _read_jitter(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        return Jitter.parse(value, where)
    return scalar(parse_time)(value, where)


def _read_loss(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        return GilbertElliott.parse(value, where)
    return scalar(parse_fraction)(value, where)


def _written(
    value: float | Jitter | GilbertElliott, write: Callable[[float], str]
) -> str | dict[str, str]:
    return value.to_mapping() if isinstance(value, Jitter | GilbertElliott) else write(value)


def _parse_rate_or_unlimited(text: str) -> float | None:
    return None if text == UNLIMITED else parse_rate(text)


def _parse_queue(text: str) -> int:
    size = parse_size(text)
    if size == 0:
        raise ValueError(f"{text!r} holds no packet; leave the key out for the default")
    return size


_READERS: dict[str, Reader] = {
    "rate": scalar(_parse_rate_or_unlimited),
    "delay": scalar(parse_time),
    "jitter": _read_jitter,
    "loss": _read_loss,
    "queue": scalar(_parse_queue),
}
assert list(_READERS) == [field.name for field in fields(LinkSpec)]
