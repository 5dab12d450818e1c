"""How much may wait in front of a link, and what is dropped then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from testbed.bounds import MOST_PACKETS
from testbed.errors import TestbedError
from testbed.links.field_readers import read_fields, require, scalar
from testbed.links.units import format_size, format_time, parse_count, parse_size, parse_time

FULL_FRAME = 1514  # bytes: a 1500-byte IP packet and its Ethernet header

Unit = Literal["bytes", "packets", "seconds"]
Discipline = Literal["drop_tail", "codel", "round_robin"]

_UNTIMED = ("drop_tail", "round_robin")
_PACKETS = re.compile(r"(\d+) ?packets", re.ASCII)
_TARGET, _INTERVAL = 5e-3, 100e-3  # seconds: RFC 8289, sections 4.2 and 4.3


@dataclass(frozen=True, slots=True)
class Queue:
    """A buffer and its discipline.

    limit: the most that waits or is being sent, in `unit`; seconds are those that it takes to
        send it all at the rate of the moment.
    discipline: what comes when the queue is full is dropped; `codel` besides drops from the head
        what has waited for longer than `target` for longer than `interval` (seconds; RFC 8289).
        `round_robin` gives each pair of IP addresses a queue of its own and all of them equal
        shares of the rate; when they are full together, the longest loses its head.

    Raises ValueError, starting with the scenario's key, for a queue that cannot be.
    """

    limit: float
    unit: Unit = "bytes"
    discipline: Discipline = "drop_tail"
    target: float = _TARGET
    interval: float = _INTERVAL

    def __post_init__(self) -> None:
        if self.discipline not in get_args(Discipline):
            known = ", ".join(get_args(Discipline))
            raise ValueError(f"discipline: {self.discipline!r} is not one; choose from {known}")
        if not self.limit > 0:
            raise ValueError("limit: it holds no packet; leave the key out for the default")
        if self.unit == "bytes" and self.limit < FULL_FRAME:
            raise ValueError(
                f"limit: {format_size(int(self.limit))} does not hold one full frame, {FULL_FRAME}B"
            )
        if not 0 < self.target < self.interval:
            raise ValueError("target: it must be more than 0 and less than the interval")

    @classmethod
    def parse(cls, value: object, where: str) -> "Queue":
        """Read '64KiB', '100packets', '50ms' or `{limit, discipline, target, interval}`."""
        try:
            if not isinstance(value, Mapping):
                return cls(*_parse_limit(str(value)))
            values = read_fields(value, _READERS, where)
            require(value, ("limit",), where)
            discipline = values.get("discipline", "drop_tail")
            for key in ("target", "interval"):
                if key in values and discipline in _UNTIMED:
                    raise ValueError(f"{key}: {discipline} has none; only codel does")
            return cls(*values.pop("limit"), **values)
        except ValueError as error:
            if isinstance(value, Mapping):
                raise TestbedError(f"{where}.{error}") from error
            raise TestbedError(f"{where}: {str(error).removeprefix('limit: ')}") from error

    def to_mapping(self) -> str | dict[str, str]:
        """Write it so that `parse` returns this very queue."""
        if self.unit == "packets":
            limit = f"{self.limit:.0f}packets"
        elif self.unit == "seconds":
            limit = format_time(self.limit)
        else:
            limit = format_size(int(self.limit))
        if self.discipline == "drop_tail":
            return limit
        if self.discipline == "round_robin":
            return {"limit": limit, "discipline": self.discipline}
        return {
            "limit": limit,
            "discipline": self.discipline,
            "target": format_time(self.target),
            "interval": format_time(self.interval),
        }

    def holds(self, packets: int, size: int, rate: float | None) -> bool:
        """Whether `packets` packets of `size` bytes together fit, at `rate` bit/s (None: any)."""
        if self.unit == "packets":
            return packets <= self.limit
        if self.unit == "seconds":
            return rate is None or packets == 1 or size * 8 / rate <= self.limit
        return size <= self.limit

    def full_frames(self, rate: float) -> float:
        """How many frames of full size it holds."""
        if self.unit == "packets":
            return self.limit
        size = self.limit * rate / 8 if self.unit == "seconds" else self.limit
        return size / FULL_FRAME


def as_queue(queue: "int | Queue") -> Queue:
    """A bare number of bytes is drop-tail."""
    return queue if isinstance(queue, Queue) else Queue(queue)


def _parse_limit(text: str) -> tuple[float, Unit]:
    if text == "0":
        return 0.0, "bytes"
    if match := _PACKETS.fullmatch(text):
        return float(parse_count(match[1], "packets", MOST_PACKETS)), "packets"
    try:
        return parse_time(text), "seconds"
    except ValueError:
        pass
    try:
        return parse_size(text), "bytes"
    except ValueError:
        raise ValueError(
            f"{text!r} is not a size of a queue; write 64KiB, 100packets or 50ms"
        ) from None


_READERS = {
    "limit": scalar(_parse_limit),
    "discipline": scalar(str),
    "target": scalar(parse_time),
    "interval": scalar(parse_time),
}
