"""One direction of the relay: from one port through a pipeline to the other, with its log."""

from pathlib import Path
from typing import Any

from testbed import clock
from testbed.emulation.lateness import LatenessHistogram
from testbed.emulation.packet_log import ChangeLine, End, Header, PacketLog, nanoseconds
from testbed.emulation.port import Port
from testbed.links.counts import PacketCounters
from testbed.links.keyed_random import RandomKey
from testbed.links.packet import Packet
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

_BATCH = 32  # frames taken from one port before what is due is sent


class Direction:
    """Carries frames from one port to the other through a pipeline.

    Its sums go on through a restart, for the interfaces' do, and so do packets that only their
    delay holds: they are in no log, and hold up none of the new ones.
    """

    def __init__(self, source: Port, target: Port, spec: LinkSpec, key: RandomKey) -> None:
        self.source = source
        self._target = target
        self._key = key
        self._log: PacketLog | None = None
        self._lateness = LatenessHistogram()
        self._earlier = PacketCounters()
        self._leaving: list[Pipeline] = []  # from before a restart, until they are empty
        self._ended: PacketLog | None = None
        began = clock.now()
        self._pipeline = Pipeline(spec, key, self._log_drop, began=began)

    @property
    def spec(self) -> LinkSpec:
        """What the direction does now."""
        return self._pipeline.spec

    @property
    def in_flight(self) -> int:
        """Packets under way."""
        return sum(pipeline.in_flight for pipeline in self._pipelines)

    @property
    def waiting(self) -> int:
        """Packets that have not been sent yet."""
        return self._pipeline.waiting

    @property
    def _pipelines(self) -> list[Pipeline]:
        return [*self._leaving, self._pipeline]

    def next_event(self) -> float | None:
        """A time no later than the next frame is due, or None while the link is empty."""
        if not self._leaving:
            return self._pipeline.next_event()
        events = [pipeline.next_event() for pipeline in self._pipelines]
        return min((event for event in events if event is not None), default=None)

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
        for pipeline in list(self._leaving):
            self._send_due(pipeline, None)
            if not pipeline.in_flight:
                self._leaving.remove(pipeline)
                self._earlier += pipeline.counts
        self._send_due(self._pipeline, self._log)

    def _send_due(self, pipeline: Pipeline, log: PacketLog | None) -> None:
        while (departure := pipeline.leave(clock.now())) is not None:
            due, packet = departure
            self._target.socket.send(packet.frame)
            left = clock.now()
            self._lateness.add(left - due)
            if log is not None:
                log.sent(packet, due, left)

    def change(
        self, now: float, spec: LinkSpec, *, held: bool = False, scheduled: float | None = None
    ) -> None:
        """Follow another spec from `now` on; no packet under way is lost."""
        self._pipeline.change(now, spec, held=held)
        if self._log is not None:
            due = None if scheduled is None else nanoseconds(scheduled)
            self._log.write(ChangeLine(nanoseconds(now), spec.to_mapping(), held, due))

    def begin_trace(self, now: float, began: float) -> None:
        """From now on a trace of deliveries is followed whose time 0 is at `began`."""
        self._pipeline.begin_trace(now, began)

    def restart(self, spec: LinkSpec, repetition: int, log: str | None) -> None:
        """Begin numbers, randomness and log anew. Call it when no packet waits."""
        self.close_log()
        self._key = self._key._replace(repetition=repetition)
        self._leaving.append(self._pipeline)
        now = clock.now()
        self._pipeline = Pipeline(spec, self._key, self._log_drop, began=now)
        if log is not None:
            header = Header(**self._key._asdict(), t=nanoseconds(now), spec=spec.to_mapping())
            self._log = PacketLog(Path(log), header)

    def end_log(self) -> bool:
        """End the log, if there is one, and work on it for a moment; return True once it is whole.

        Raises OSError when it cannot be.
        """
        if self._log is not None:
            counts = self._pipeline.counts
            self._log.end(
                End(
                    t=clock.now_ns(),
                    received=counts.received_packets,
                    forwarded=counts.forwarded_packets,
                    dropped=dict(counts.dropped),
                    duplicated=counts.duplicated,
                    in_flight=self._pipeline.in_flight,
                )
            )
            self._ended, self._log = self._log, None
        if self._ended is not None and self._ended.finish():
            self._ended = None
        return self._ended is None

    def close_log(self) -> None:
        """End the log, if there is one, and wait until it is whole."""
        while not self.end_log():
            pass

    def forget_lateness(self) -> None:
        """Start the record of lateness anew."""
        self._lateness = LatenessHistogram()

    def stats(self) -> dict[str, Any]:
        """The sums of this direction; lateness in seconds."""
        counts = self._earlier
        for pipeline in self._pipelines:
            counts = counts + pipeline.counts
        return {
            **counts.to_mapping(),
            "queued": self.in_flight,
            "socket_drops": self.source.drops(),
            "lateness": self._lateness.summary(),
        }

    def _log_drop(self, packet: Packet, reason: str) -> None:
        if self._log is not None:
            self._log.dropped(packet, reason)
