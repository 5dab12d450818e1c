"""One direction of a link, packet by packet: loss, errors, queue and rate, delay and jitter."""

from collections.abc import Callable

from testbed.links.corrupt import Corruption
from testbed.links.counts import PacketCounters
from testbed.links.delay import DelayLine
from testbed.links.gilbert_elliott import GilbertElliott, GilbertElliottLoss
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.loss import BernoulliLoss
from testbed.links.loss_trace import LossTrace
from testbed.links.packet import Departure, Packet
from testbed.links.queue import as_queue
from testbed.links.rate import RateServer
from testbed.links.service import service_of
from testbed.links.spec import ETHERNET_HEADER, LinkSpec

OnDrop = Callable[[Packet, str], None]  # of a packet and the reason


class Pipeline:
    """Applies a LinkSpec to packets; pure logic on the caller's clock (seconds).

    key: fixes all that is random.
    on_drop: is told of every packet that is dropped, when it is.
    began: time 0 of a trace of deliveries.
    """

    def __init__(
        self, spec: LinkSpec, key: RandomKey, on_drop: OnDrop | None = None, *, began: float = 0.0
    ) -> None:
        self.spec = spec
        self.counts = PacketCounters()
        self._on_drop = on_drop
        self._began = began
        loss = KeyedUniform(key, "loss")
        self._single = BernoulliLoss(loss)
        self._bursts = GilbertElliottLoss(KeyedUniform(key, "burst"), loss)
        self._copies = KeyedUniform(key, "duplicate")
        self._corrupt = Corruption(KeyedUniform(key, "corrupt"), KeyedUniform(key, "bit"))
        self._server = RateServer(
            service_of(spec.rate, began), spec.mean_rate, as_queue(spec.queue), self._drop
        )
        self._line = DelayLine(key, spec.delay, spec.jitter, spec.reorder)
        if spec.stands_still:
            self.change(began, spec)

    @property
    def in_flight(self) -> int:
        """Packets that have arrived and neither left nor been dropped."""
        return len(self._server) + len(self._line)

    @property
    def waiting(self) -> int:
        """Those of them that have not been sent yet: they hold up what comes."""
        return len(self._server)

    def arrive(self, now: float, frame: bytes) -> None:
        """Take in a frame that arrived at `now`."""
        number = self.counts.received_packets
        self.counts.received_packets += 1
        self.counts.received_bytes += len(frame)
        self._advance(now)
        packet = Packet(number, frame, now)
        if len(frame) - ETHERNET_HEADER > self.spec.mtu:
            self._drop(packet, "mtu")
        elif self._loses(number):
            self._drop(packet, "loss")
        else:
            if self.spec.corrupt > 0:
                packet = self._corrupted(packet)
            self._server.offer(now, packet)
            if self.spec.duplicate > 0 and self._copies(number) < self.spec.duplicate:
                self.counts.duplicated += 1
                self._server.offer(now, packet)

    def leave(self, now: float) -> Departure | None:
        """Hand out the next packet due by `now`, or None."""
        self._advance(now)
        due = self._line.next_due()
        if due is None or due > now:
            return None
        due, packet = self._line.pop()
        self.counts.forwarded_packets += 1
        self.counts.forwarded_bytes += len(packet.frame)
        return Departure(due, packet)

    def next_event(self) -> float | None:
        """A time no later than the next frame is due, or None while nothing will happen."""
        due = self._line.next_due()
        finish = self._server.next_finish()
        earliest = None if finish is None else finish + self._line.shortest
        if due is None or earliest is None:
            return earliest if due is None else due
        return min(due, earliest)

    def change(self, now: float, spec: LinkSpec, *, held: bool = False) -> None:
        """Follow another spec from `now` on; no packet in flight is lost.

        held: what has not been sent yet waits until the next change, as it does at rate 0.
        """
        self._advance(now)
        service = service_of(spec.rate, self._began)
        held = held or spec.stands_still
        self._server.change(now, service, spec.mean_rate, as_queue(spec.queue), held=held)
        self._line.change(spec.delay, spec.jitter, spec.reorder)
        self.spec = spec

    def begin_trace(self, now: float, began: float) -> None:
        """From now on a trace of deliveries is followed whose time 0 is at `began`."""
        self._began = began
        self.change(now, self.spec)

    def _loses(self, number: int) -> bool:
        loss = self.spec.loss
        if isinstance(loss, GilbertElliott):
            return self._bursts.loses(number, loss)
        if isinstance(loss, LossTrace):
            return loss.loses(number)
        return self._single.loses(number, loss)

    def _corrupted(self, packet: Packet) -> Packet:
        frame = self._corrupt(packet.number, packet.frame, self.spec.corrupt)
        self.counts.corrupted += frame is not packet.frame
        return packet._replace(frame=frame)

    def _drop(self, packet: Packet, reason: str) -> None:
        self.counts.dropped[reason] += 1
        if self._on_drop is not None:
            self._on_drop(packet, reason)

    def _advance(self, now: float) -> None:
        """Move what the server has sent by `now` on into the delay line."""
        while (finish := self._server.next_finish()) is not None and finish <= now:
            finish, packet = self._server.pop()
            self._line.push(finish, packet)
