"""Queues in front of a link: their limit, and which packet is dropped when they are full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from typing_extensions import override

from testbed.bounds import MOST_PACKETS
from testbed.config.one_of import Form, OneOf
from testbed.config.written import FieldError, write_fields
from testbed.links.quantities import Text, Time
from testbed.links.units import (
    format_size,
    format_time,
    json_schema,
    parse_count,
    parse_size,
    parse_time,
)

FULL_FRAME = 1514  # bytes: a 1500-byte IP packet and its Ethernet header

Unit = Literal["bytes", "packets", "seconds"]
Discipline = Literal["drop_tail", "codel", "round_robin"]

_PACKETS = re.compile(r"(\d+) ?packets", re.ASCII)
_TARGET, _INTERVAL = 5e-3, 100e-3  # seconds: RFC 8289, sections 4.2 and 4.3


class Queue(msgspec.Struct, frozen=True):
    """A buffer and its discipline.

    limit: the most that waits or is being sent, in `unit`; seconds are the time to send all of it
        at the current rate.
    discipline: `drop_tail` drops packets that arrive when the queue is full. `codel` also drops
        from the head when packets have waited longer than `target` for at least `interval`
        (seconds; RFC 8289). `round_robin` gives each pair of IP addresses a queue of its own and an
        equal share of the rate; when the queues together are full, the longest loses its head.

    Raises FieldError, with the scenario's key, for a limit below one full frame and for a target
    that is not between 0 and the interval.
    """

    limit: float
    unit: Unit = "bytes"
    discipline: Discipline = "drop_tail"
    target: float = _TARGET
    interval: float = _INTERVAL

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise FieldError("limit", "it holds no packet; leave the key out for the default")
        if self.unit == "bytes" and self.limit < FULL_FRAME:
            raise FieldError(
                "limit",
                f"{format_size(int(self.limit))} does not hold one full frame, {FULL_FRAME}B",
            )
        if not 0 < self.target < self.interval:
            raise FieldError("target", "it must be more than 0 and less than the interval")

    def holds(self, packets: int, size: int, rate: float | None) -> bool:
        """Return True if `packets` packets of `size` bytes in all fit into the queue.

        `rate` is in bit/s, None if unlimited.
        """
        if self.unit == "packets":
            return packets <= self.limit
        if self.unit == "seconds":
            return rate is None or packets == 1 or size * 8 / rate <= self.limit
        return size <= self.limit

    def full_frames(self, rate: float) -> float:
        """Return the number of full frames that fit at `rate` bit/s."""
        if self.unit == "packets":
            return self.limit
        size = self.limit * rate / 8 if self.unit == "seconds" else self.limit
        return size / FULL_FRAME


def as_queue(queue: int | Queue) -> Queue:
    """Return a Queue as it is, and a number of bytes as a drop-tail queue."""
    return queue if isinstance(queue, Queue) else Queue(queue)


class Limit(NamedTuple):
    """The most that a queue holds, and the unit."""

    most: float
    unit: Unit


def _parse_limit(text: str) -> Limit:
    if text == "0":
        return Limit(0.0, "bytes")
    if match := _PACKETS.fullmatch(text):
        return Limit(float(parse_count(match[1], "packets", MOST_PACKETS)), "packets")
    try:
        return Limit(parse_time(text), "seconds")
    except ValueError:
        pass
    try:
        return Limit(parse_size(text), "bytes")
    except ValueError:
        raise ValueError(
            f"{text!r} is not a size of a queue; write 64KiB, 100packets or 50ms"
        ) from None


def _format_limit(limit: Limit) -> str:
    if limit.unit == "packets":
        return f"{limit.most:.0f}packets"
    return format_time(limit.most) if limit.unit == "seconds" else format_size(int(limit.most))


_LIMIT_SCHEMA = {
    "anyOf": [
        json_schema("size"),
        json_schema("time"),
        {"type": "string", "pattern": r"^[0-9]+ ?packets$", "examples": ["100packets"]},
    ]
}


def _parse_drop_tail(text: str) -> int | Queue:
    try:
        queue = Queue(*_parse_limit(text))
    except FieldError as error:
        raise ValueError(error.reason) from None
    return int(queue.limit) if queue.unit == "bytes" else queue


def _format_drop_tail(queue: int | Queue) -> str:
    queue = as_queue(queue)
    return _format_limit(Limit(queue.limit, queue.unit))


if TYPE_CHECKING:
    LimitField = Limit
else:

    class LimitField(Text):
        """Bytes, packets, or seconds at the current rate."""

        parse, format, schema = _parse_limit, _format_limit, _LIMIT_SCHEMA


class DisciplinedQueue(Form, frozen=True):
    """A queue with its discipline."""

    limit: LimitField
    """The most that waits or is being sent, e.g. "64KiB", "100packets" or "50ms"."""
    discipline: Discipline = "drop_tail"
    """The rule for the packet that is dropped and the one that is sent next, e.g. codel."""
    target: Time | msgspec.UnsetType = msgspec.UNSET
    """For codel: the time that packets may wait, e.g. "5ms"."""
    interval: Time | msgspec.UnsetType = msgspec.UNSET
    """For codel: the time for which they may wait longer before one is dropped, e.g. "100ms"."""

    @override
    def value(self) -> int | Queue:
        for key in ("target", "interval"):
            if getattr(self, key) is not msgspec.UNSET and self.discipline != "codel":
                raise FieldError(key, f"{self.discipline} has none; only codel does")
        target = _TARGET if self.target is msgspec.UNSET else self.target
        interval = _INTERVAL if self.interval is msgspec.UNSET else self.interval
        queue = Queue(*self.limit, self.discipline, target, interval)
        plain = queue.unit == "bytes" and queue.discipline == "drop_tail"
        return int(queue.limit) if plain else queue


if TYPE_CHECKING:
    QueueField = int | Queue
else:

    class DropTail(Text):
        """The limit of a drop-tail queue."""

        parse, format, schema = _parse_drop_tail, _format_drop_tail, _LIMIT_SCHEMA

    class QueueField(OneOf):
        """The limit of a drop-tail queue, or a mapping; plain bytes are an int."""

        text = DropTail
        forms = (DisciplinedQueue,)

        @override
        @classmethod
        def write(cls, value: QueueField) -> str | dict[str, Any]:
            queue = as_queue(value)
            if queue.discipline == "drop_tail":
                return DropTail.write(queue)
            times = (queue.target, queue.interval) if queue.discipline == "codel" else ()
            limit = Limit(queue.limit, queue.unit)
            return write_fields(DisciplinedQueue(limit, queue.discipline, *times))
