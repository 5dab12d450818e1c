"""The service of a link: sending at a constant rate, or at the times of a recorded trace.

Times are in seconds on the caller's clock.
"""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME

Rate = float | DeliveryTrace | None
"""The rate of a LinkSpec: bit/s, a trace of deliveries, or None for no limit."""


class Service(Protocol):
    """Computes the times at which packets are sent."""

    def finish(self, start: float, size: float, *, idle: bool) -> float:
        """Return the time at which `size` bytes will be sent if they start at `start`.

        `idle` is True if nothing was being sent just before. Call once per packet, in the order in
        which packets are sent.
        """

    def unsent(self, now: float, finish: float, size: int) -> float:
        """Return how many of the `size` bytes being sent, done at `finish`, are unsent at `now`."""


class ConstantRate(Service):
    """Sends at `rate` bit/s; None sends in no time."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate

    @override
    def finish(self, start: float, size: float, *, idle: bool) -> float:
        return start if self._rate is None else start + size * 8 / self._rate

    @override
    def unsent(self, now: float, finish: float, size: int) -> float:
        if self._rate is None:
            return 0.0
        return min(float(size), max(0.0, finish - now) * self._rate / 8)


class Deliveries(Service):
    """Sends at the opportunities of a trace, whose time 0 is at `began`, as Mahimahi does.

    Each opportunity carries 1,500 bytes of IP packets, here one full frame. Bytes that a packet
    leaves unused serve the next waiting packets. A packet larger than the rest of an opportunity
    goes on with the next one. Bytes for which no packet waits are lost.
    """

    def __init__(self, trace: DeliveryTrace, began: float) -> None:
        self._trace = trace
        self._began = began
        self._next = 0
        self._left = 0.0  # bytes of the opportunity before `_next`

    @override
    def finish(self, start: float, size: float, *, idle: bool) -> float:
        if idle:
            self._left = 0.0
            self._next = max(self._next, self._trace.first_from(start - self._began))
        while size > self._left:
            size -= self._left
            self._left = float(FULL_FRAME)
            self._next += 1
        self._left -= size
        return max(start, self._began + self._trace.time(self._next - 1))

    @override
    def unsent(self, now: float, finish: float, size: int) -> float:
        # A packet counts as sent only at its last opportunity.
        return float(size) if finish > now else 0.0


def service_of(rate: Rate, began: float) -> Service:
    """Return the service of a rate; `began` is time 0 of a trace."""
    return Deliveries(rate, began) if isinstance(rate, DeliveryTrace) else ConstantRate(rate)


def served(rate: Rate, times: Sequence[float], size: int, *, began: float) -> list[float]:
    """Return the times at which packets of `size` bytes that come at `times` have been sent.

    The link is idle at first, and drops no packet.
    """
    service, free, found = service_of(rate, began), 0.0, []
    for time in times:
        free = service.finish(max(time, free), size, idle=time >= free)
        found.append(free)
    return found
