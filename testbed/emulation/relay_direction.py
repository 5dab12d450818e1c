"""One direction of the relay: from one port through a pipeline to the other port, and its log."""

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

_BATCH = 32  # frames read from one port before due frames are sent


class Direction:
    """Carries frames from one port to the other through a pipeline.

    A restart begins a new pipeline. The sums go on, as the interfaces' counters do. Packets of the
    old pipeline that are only being delayed still leave when they are due; they are in no log, and
    do not hold up new packets.
    """

    def __init__(self, source: Port, target: Port, spec: LinkSpec, key: RandomKey) -> None:
        self.source = source
        self._target = target
        self._key = key
        self._log: PacketLog | None = None
        self._lateness = LatenessHistogram()
        self._earlier = PacketCounters()
        self._leaving: list[Pipeline] = []  # pipelines of before a restart, until they are empty
        self._ended: PacketLog | None = None
        began = clock.now()
        self._pipeline = Pipeline(spec, key, self._log_drop, began=began)

    @property
    def spec(self) -> LinkSpec:
        """The spec in force."""
        return self._pipeline.spec

    @property
    def in_flight(self) -> int:
        """The number of packets under way."""
        return sum(pipeline.in_flight for pipeline in self._pipelines)

    @property
    def waiting(self) -> int:
        """The number of packets that the link has not sent yet (queued or held)."""
        return self._pipeline.waiting

    @property
    def _pipelines(self) -> list[Pipeline]:
        return [*self._leaving, self._pipeline]

    def next_event(self) -> float | None:
        """Return a time no later than the next frame is due; None while the link is empty."""
        if not self._leaving:
            return self._pipeline.next_event()
        events = [pipeline.next_event() for pipeline in self._pipelines]
        return min((event for event in events if event is not None), default=None)

    def take_in(self) -> float | None:
        """Read a batch of frames at most; return the first one's arrival time, None without any."""
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
        """Follow another spec from `now` on; packets under way are kept."""
        self._pipeline.change(now, spec, held=held)
        if self._log is not None:
            due = None if scheduled is None else nanoseconds(scheduled)
            self._log.write(ChangeLine(nanoseconds(now), spec.to_mapping(), held, due))

    def begin_trace(self, now: float, began: float) -> None:
        """Follow the delivery trace from `now` on, with its time 0 at `began`."""
        self._pipeline.begin_trace(now, began)

    def restart(self, spec: LinkSpec, repetition: int, log: str | None) -> None:
        """Reset packet numbers, randomness and log. Call it only while no packet waits."""
        self.close_log()
        self._key = self._key._replace(repetition=repetition)
        self._leaving.append(self._pipeline)
        now = clock.now()
        self._pipeline = Pipeline(spec, self._key, self._log_drop, began=now)
        if log is not None:
            header = Header(**self._key._asdict(), t=nanoseconds(now), spec=spec.to_mapping())
            self._log = PacketLog(Path(log), header)

    def end_log(self) -> bool:
        """End the log, if there is one, and write it for a moment; return True once it is complete.

        Call it until it returns True. Raises OSError when the log cannot be written.
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
        """End the log, if there is one, and wait until it is complete."""
        while not self.end_log():
            pass

    def forget_lateness(self) -> None:
        """Reset the histogram of lateness."""
        self._lateness = LatenessHistogram()

    def stats(self) -> dict[str, Any]:
        """Return the sums of this direction as JSON-able values; lateness in seconds."""
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
