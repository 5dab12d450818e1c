"""One direction of a link, packet by packet: loss, queue and rate, delay and jitter."""

from collections.abc import Callable

from testbed.links.counts import Counts
from testbed.links.delay import DelayLine
from testbed.links.gilbert_elliott import GilbertElliott, GilbertElliottLoss
from testbed.links.keyed import Key, KeyedUniform
from testbed.links.loss import BernoulliLoss
from testbed.links.packet import Departure, Packet
from testbed.links.rate import RateServer
from testbed.links.spec import LinkSpec

OnDrop = Callable[[Packet, str], None]  # of a packet and the reason


class Pipeline:
    """Applies a LinkSpec to packets; pure logic on the caller's clock (seconds).

    key: fixes all that is random.
    on_drop: is told of every packet that is dropped, when it is.
    """

    def __init__(self, spec: LinkSpec, key: Key, on_drop: OnDrop | None = None) -> None:
        self.spec = spec
        self.counts = Counts()
        self._on_drop = on_drop
        loss = KeyedUniform(key, "loss")
        self._single = BernoulliLoss(loss)
        self._bursts = GilbertElliottLoss(KeyedUniform(key, "burst"), loss)
        self._server = RateServer(spec.rate, spec.queue)
        self._line = DelayLine(KeyedUniform(key, "jitter"), spec.delay, spec.jitter)

    @property
    def in_flight(self) -> int:
        """Packets that have arrived and neither left nor been dropped."""
        return len(self._server) + len(self._line)

    def arrive(self, now: float, frame: bytes) -> None:
        """Take in a frame that arrived at `now`."""
        packet = Packet(self.counts.received_packets, frame, now)
        self.counts.received_packets += 1
        self.counts.received_bytes += len(frame)
        self._advance(now)
        if self._loses(packet.number):
            self._drop(packet, "loss")
        elif not self._server.offer(now, packet):
            self._drop(packet, "queue")

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
        """A time no later than the next frame is due, or None while the link is empty."""
        due = self._line.next_due()
        if due is not None:
            return due
        finish = self._server.next_finish()
        return None if finish is None else finish + self._line.shortest

    def change(self, now: float, spec: LinkSpec) -> None:
        """Follow another spec from `now` on; no packet in flight is lost."""
        self._advance(now)
        self._server.change(now, spec.rate, spec.queue)
        self._line.change(spec.delay, spec.jitter)
        self.spec = spec

    def _drop(self, packet: Packet, reason: str) -> None:
        self.counts.dropped[reason] += 1
        if self._on_drop is not None:
            self._on_drop(packet, reason)

    def _loses(self, number: int) -> bool:
        loss = self.spec.loss
        if isinstance(loss, GilbertElliott):
            return self._bursts.loses(number, loss)
        return self._single.loses(number, loss)

    def _advance(self, now: float) -> None:
        """Move what the server has sent by `now` on into the delay line."""
        while (finish := self._server.next_finish()) is not None and finish <= now:
            finish, packet = self._server.pop()
            self._line.push(finish, packet)
