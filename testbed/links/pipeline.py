"""One direction of a link, packet by packet: loss, queue and rate, delay and jitter."""

from testbed.links.delay import DelayLine
from testbed.links.gilbert_elliott import GilbertElliott, GilbertElliottLoss
from testbed.links.keyed import KeyedUniform
from testbed.links.loss import BernoulliLoss
from testbed.links.packet import Packet
from testbed.links.rate import RateServer
from testbed.links.spec import LinkSpec


class Pipeline:
    """Applies a LinkSpec to packets; pure logic on the caller's clock (seconds).

    Every packet is counted once on arrival and once on its way out:
    received = forwarded + dropped_loss + dropped_queue + in_flight, always.
    """

    def __init__(self, spec: LinkSpec, seed: int, link: str, direction: str) -> None:
        self.spec = spec
        loss = KeyedUniform(seed, link, direction, "loss")
        self._single = BernoulliLoss(loss)
        self._bursts = GilbertElliottLoss(KeyedUniform(seed, link, direction, "burst"), loss)
        self._server = RateServer(spec.rate, spec.queue)
        jitter = KeyedUniform(seed, link, direction, "jitter")
        self._line = DelayLine(jitter, spec.delay, spec.jitter)
        self.received_packets = 0
        self.received_bytes = 0
        self.forwarded_packets = 0
        self.forwarded_bytes = 0
        self.dropped_loss = 0
        self.dropped_queue = 0

    @property
    def in_flight(self) -> int:
        """Packets that have arrived and neither left nor been dropped."""
        return len(self._server) + len(self._line)

    def arrive(self, now: float, frame: bytes) -> None:
        """Take in a frame that arrived at `now`."""
        packet = Packet(self.received_packets, frame)
        self.received_packets += 1
        self.received_bytes += len(frame)
        self._advance(now)
        if self._loses(packet.number):
            self.dropped_loss += 1
        elif not self._server.offer(now, packet):
            self.dropped_queue += 1

    def leave(self, now: float) -> tuple[float, bytes] | None:
        """Hand out the next frame due by `now`, with its due time, or None."""
        self._advance(now)
        due = self._line.next_due()
        if due is None or due > now:
            return None
        due, packet = self._line.pop()
        self.forwarded_packets += 1
        self.forwarded_bytes += len(packet.frame)
        return due, packet.frame

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
