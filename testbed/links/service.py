"""How fast the server of a link works: at a rate, or at the moments of a recorded trace.

Times in seconds on the caller's clock.
"""

from collections.abc import Sequence
from typing import Protocol

from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME

Rate = float | DeliveryTrace | None
"""Of a LinkSpec."""


class Service(Protocol):
    """Tells when packets will have been sent."""

    def finish(self, start: float, size: float, *, idle: bool) -> float:
        """When `size` bytes will be sent that may start at `start`, `idle` if nothing was before.

        To be asked once for each packet, in the order in which they are sent.
        """

    def unsent(self, now: float, finish: float, size: int) -> float:
        """How many of the bytes being sent now, done at `finish`, are not sent yet."""


class ConstantRate:
    """`rate` bit/s, from the first byte on; None sends in no time."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate

    def finish(self, start: float, size: float, *, idle: bool) -> float:
        """After size·8/rate."""
        return start if self._rate is None else start + size * 8 / self._rate

    def unsent(self, now: float, finish: float, size: int) -> float:
        """The share that the remaining time stands for."""
        if self._rate is None:
            return 0.0
        return min(float(size), max(0.0, finish - now) * self._rate / 8)


class Deliveries:
    """The opportunities of a trace whose time 0 is at `began`, as Mahimahi uses them.

    Each carries 1,500 bytes of IP packets, here one full frame. What a packet leaves of one is
    used by the next packets that wait; a packet larger than what is left goes on with the next
    opportunity; and whatever finds nobody waiting is lost.
    """

    def __init__(self, trace: DeliveryTrace, began: float) -> None:
        self._trace = trace
        self._began = began
        self._next = 0
        self._left = 0.0  # bytes of the opportunity before `_next`

    def finish(self, start: float, size: float, *, idle: bool) -> float:
        """When the last opportunity that the packet needs comes."""
        if idle:
            self._left = 0.0
            self._next = max(self._next, self._trace.first_from(start - self._began))
        while size > self._left:
            size -= self._left
            self._left = float(FULL_FRAME)
            self._next += 1
        self._left -= size
        return max(start, self._began + self._trace.time(self._next - 1))

    def unsent(self, now: float, finish: float, size: int) -> float:
        """All of it: it is sent by its last opportunity."""
        return float(size) if finish > now else 0.0


def service_of(rate: Rate, began: float) -> Service:
    """The service at a rate, or by a trace whose time 0 is at `began`."""
    return Deliveries(rate, began) if isinstance(rate, DeliveryTrace) else ConstantRate(rate)


def served(rate: Rate, times: Sequence[float], size: int, *, began: float) -> list[float]:
    """When each of some packets has been sent that come at `times` to a link with nothing to do.

    `size` is that of each in bytes; none is dropped.
    """
    service, free, found = service_of(rate, began), 0.0, []
    for time in times:
        free = service.finish(max(time, free), size, idle=time >= free)
        found.append(free)
    return found
