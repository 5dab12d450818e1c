"""One direction of a link, packet by packet: loss, errors, queue and rate, delay and jitter."""

from collections.abc import Callable, Sequence
from typing import Any

from testbed.links.counts import PacketCounters
from testbed.links.delay import DelayLine, Overtakes
from testbed.links.impairments.base import ArrivalImpairment, FlightImpairment, impairments
from testbed.links.keyed_random import RandomKey
from testbed.links.packet import Departure, Packet
from testbed.links.queue import as_queue
from testbed.links.rate import RateServer
from testbed.links.service import service_of
from testbed.links.spec import ETHERNET_HEADER, LinkSpec

OnDrop = Callable[[Packet, str], None]
"""Receives a packet that is dropped, and the reason."""


class Pipeline:
    """Applies a LinkSpec to packets; pure logic, with times in seconds on the caller's clock.

    key: the key of all random numbers.
    on_drop: called with a packet and the reason when the packet is dropped.
    began: time 0 of a trace of deliveries.
    """

    def __init__(
        self, spec: LinkSpec, key: RandomKey, on_drop: OnDrop | None = None, *, began: float = 0.0
    ) -> None:
        self.spec = spec
        self.counts = PacketCounters()
        self._on_drop = on_drop
        self._began = began
        self._impairments = {kind: kind(key) for kind in impairments()}
        self._arrivals = self._arrivals_of(spec)
        self._server = RateServer(
            service_of(spec.rate, began), spec.mean_rate, as_queue(spec.queue), self._drop
        )
        self._line = DelayLine(key, spec.delay, spec.jitter, self._overtakes_of(spec))
        if spec.stands_still:
            self.change(began, spec)

    @property
    def in_flight(self) -> int:
        """The number of packets that have arrived and neither left nor been dropped."""
        return len(self._server) + len(self._line)

    @property
    def waiting(self) -> int:
        """The number of packets in flight that are not sent yet; later packets wait behind them."""
        return len(self._server)

    def arrive(self, now: float, frame: bytes) -> None:
        """Accept or drop a frame that arrives at `now`."""
        number = self.counts.received_packets
        self.counts.received_packets += 1
        self.counts.received_bytes += len(frame)
        self._advance(now)
        packet = Packet(number, frame, now)
        if len(frame) - ETHERNET_HEADER > self.spec.mtu:
            self._drop(packet, "mtu")
            return
        packets = [packet]
        for stage, value in self._arrivals:
            packets = [left for each in packets for left in self._meet(stage, value, each)]
        for each in packets:
            self._server.offer(now, each)

    def leave(self, now: float) -> Departure | None:
        """Remove and return the next packet that is due by `now`, or None."""
        self._advance(now)
        due = self._line.next_due()
        if due is None or due > now:
            return None
        due, packet = self._line.pop()
        self.counts.forwarded_packets += 1
        self.counts.forwarded_bytes += len(packet.frame)
        return Departure(due, packet)

    def next_event(self) -> float | None:
        """Return a time before which no frame is due, or None if none will be due."""
        due = self._line.next_due()
        finish = self._server.next_finish()
        earliest = None if finish is None else finish + self._line.shortest
        if due is None or earliest is None:
            return earliest if due is None else due
        return min(due, earliest)

    def change(self, now: float, spec: LinkSpec, *, held: bool = False) -> None:
        """Apply another spec from `now` on, without losing a packet in flight.

        held: True stops sending until the next change, as rate 0 does.
        """
        self._advance(now)
        service = service_of(spec.rate, self._began)
        held = held or spec.stands_still
        self._server.change(now, service, spec.mean_rate, as_queue(spec.queue), held=held)
        self._line.change(spec.delay, spec.jitter, self._overtakes_of(spec))
        self._arrivals = self._arrivals_of(spec)
        self.spec = spec

    def begin_trace(self, now: float, began: float) -> None:
        """Set time 0 of traces of deliveries to `began`, from `now` on."""
        self._began = began
        self.change(now, self.spec)

    def _arrivals_of(self, spec: LinkSpec) -> list[tuple[ArrivalImpairment, Any]]:
        stages = [(self._impairments[kind], value) for kind, value in spec.impairments()]
        return [(stage, value) for stage, value in stages if isinstance(stage, ArrivalImpairment)]

    def _overtakes_of(self, spec: LinkSpec) -> Overtakes | None:
        stages = [(self._impairments[kind], value) for kind, value in spec.impairments()]
        flights = [(stage, value) for stage, value in stages if isinstance(stage, FlightImpairment)]
        if not flights:
            return None
        return lambda number: any(stage.overtakes(number, value) for stage, value in flights)

    def _meet(self, stage: ArrivalImpairment, value: Any, packet: Packet) -> Sequence[Packet]:
        """Apply an impairment to a packet, count the effect and return the packets that remain."""
        left = stage.arrive(packet, value)
        if not left:
            self._drop(packet, stage.key)
        self.counts.duplicated += max(0, len(left) - 1)
        self.counts.corrupted += sum(each.frame is not packet.frame for each in left)
        return left

    def _drop(self, packet: Packet, reason: str) -> None:
        self.counts.dropped[reason] += 1
        if self._on_drop is not None:
            self._on_drop(packet, reason)

    def _advance(self, now: float) -> None:
        """Move the packets that the server has sent by `now` into the delay line."""
        while (finish := self._server.next_finish()) is not None and finish <= now:
            finish, packet = self._server.pop()
            self._line.push(finish, packet)
