"""One direction of the relay: from one port through a pipeline to the other, with its log."""

from pathlib import Path
from typing import Any

from testbed import clock
from testbed.emulation.lateness import LatenessHistogram
from testbed.emulation.packet_log import ChangeLine, End, Header, PacketLog, nanoseconds
from testbed.emulation.port import Port
from testbed.links.counts import Counts
from testbed.links.keyed import Key
from testbed.links.packet import Packet
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

_BATCH = 32  # frames taken from one port before what is due is sent


class Direction:
    """Carries frames from one port to the other through a pipeline.

    Its sums go on through a restart, for the interfaces' do.
    """

    def __init__(self, source: Port, target: Port, spec: LinkSpec, key: Key) -> None:
        self.source = source
        self._target = target
        self._key = key
        self._log: PacketLog | None = None
        self._lateness = LatenessHistogram()
        self._earlier = Counts()
        began = clock.now()
        self._pipeline = Pipeline(spec, key, self._log_drop, began=began)

    @property
    def spec(self) -> LinkSpec:
        """What the direction does now."""
        return self._pipeline.spec

    @property
    def in_flight(self) -> int:
        """Packets under way."""
        return self._pipeline.in_flight

    def next_event(self) -> float | None:
        """A time no later than the next frame is due, or None while the link is empty."""
        return self._pipeline.next_event()

    def take_in(self) -> float | None:
        """Take in frames that have arrived, a batch at most; when the first of them came."""
        first = None
        for _ in range(_BATCH):
            try:
                stamp, frame = self.source.receive()
            except BlockingIOError:
                break
            arrival = clock.emulated(stamp)
            self._pipeline.arrive(arrival, frame)
            first = arrival if first is None else first
        return first

    def send_due(self) -> None:
        """Send every frame that is due."""
        while (departure := self._pipeline.leave(clock.now())) is not None:
            due, packet = departure
            self._target.socket.send(packet.frame)
            left = clock.now()
            self._lateness.add(left - due)
            if self._log is not None:
                self._log.sent(packet, due, left)

    def change(
        self, now: float, spec: LinkSpec, *, held: bool = False, scheduled: float | None = None
    ) -> None:
        """Follow another spec from `now` on; no packet under way is lost."""
        self._pipeline.change(now, spec, held=held)
        if self._log is not None:
            due = None if scheduled is None else nanoseconds(scheduled)
            self._log.write(ChangeLine(nanoseconds(now), spec.to_mapping(), held, due))

    def begin_trace(self, now: float) -> None:
        """Time 0 of a trace of deliveries is now."""
        self._pipeline.begin_trace(now)

    def restart(self, spec: LinkSpec, repetition: int, log: str | None) -> None:
        """Begin numbers, randomness and log anew. Call it when no packet is under way."""
        self.close_log()
        self._key = self._key._replace(repetition=repetition)
        self._earlier += self._pipeline.counts
        now = clock.now()
        self._pipeline = Pipeline(spec, self._key, self._log_drop, began=now)
        if log is not None:
            header = Header(**self._key._asdict(), t=nanoseconds(now), spec=spec.to_mapping())
            self._log = PacketLog(Path(log), header)

    def close_log(self) -> None:
        """Write the log's end, if there is a log."""
        if self._log is not None:
            counts = self._pipeline.counts
            self._log.close(
                End(
                    t=clock.now_ns(),
                    received=counts.received_packets,
                    forwarded=counts.forwarded_packets,
                    dropped=dict(counts.dropped),
                    duplicated=counts.duplicated,
                    in_flight=self.in_flight,
                )
            )
            self._log = None

    def forget_lateness(self) -> None:
        """Start the record of lateness anew."""
        self._lateness = LatenessHistogram()

    def stats(self) -> dict[str, Any]:
        """The sums of this direction; lateness in seconds."""
        return {
            **(self._earlier + self._pipeline.counts).to_mapping(),
            "queued": self.in_flight,
            "socket_drops": self.source.drops(),
            "lateness": self._lateness.summary(),
        }

    def _log_drop(self, packet: Packet, reason: str) -> None:
        if self._log is not None:
            self._log.dropped(packet, reason)
