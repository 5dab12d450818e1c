"""One direction of a link in virtual time: frames go in at one end and come out at the other."""

from __future__ import annotations

from collections.abc import Callable

import simpy

from testbed.links.counts import PacketCounters
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec
from testbed.simulation.alarm import Alarm

Deliver = Callable[[bytes], None]
"""Receives a frame that has come out of a direction."""


class PlainDirection:
    """Hands each frame over at once."""

    in_flight = 0

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._counts = PacketCounters()

    @property
    def counts(self) -> PacketCounters:
        """The sums since the link was made, up to now."""
        return PacketCounters() + self._counts

    def carry(self, frame: bytes) -> None:
        """Take in a frame that arrives now."""
        counts, size = self._counts, len(frame)
        counts.received_packets += 1
        counts.received_bytes += size
        counts.forwarded_packets += 1
        counts.forwarded_bytes += size
        self._deliver(frame)


class ShapedDirection:
    """Carries frames through the pipeline of a link, as one direction of the relay does.

    A restart begins a new pipeline; the sums go on, and what the old one still delays comes out
    when it is due.
    """

    def __init__(
        self, env: simpy.Environment, spec: LinkSpec, key: RandomKey, deliver: Deliver
    ) -> None:
        self._env = env
        self._key = key
        self._deliver = deliver
        self._earlier: list[_Passage] = []
        self._passage = self._begin(spec)

    @property
    def spec(self) -> LinkSpec:
        """The spec in force."""
        return self._passage.pipeline.spec

    @property
    def counts(self) -> PacketCounters:
        """The sums since the link was made, up to now."""
        counts = PacketCounters()
        for passage in (*self._earlier, self._passage):
            counts += passage.pipeline.counts
        return counts

    @property
    def in_flight(self) -> int:
        """The number of packets under way."""
        return sum(each.pipeline.in_flight for each in (*self._earlier, self._passage))

    def waiting(self) -> int:
        """Return the number of packets that the link has not sent by now (queued or held)."""
        self._passage.empty()  # a pipeline moves packets on only when it is asked
        return self._passage.pipeline.waiting

    def carry(self, frame: bytes) -> None:
        """Take in a frame that arrives now."""
        self._passage.carry(frame)

    def change(self, spec: LinkSpec, *, held: bool = False) -> None:
        """Follow another spec from now on; packets under way are kept."""
        passage = self._passage
        passage.pipeline.change(self._env.now, spec, held=held)
        passage.set_alarm()

    def begin_trace(self, began: float) -> None:
        """Follow the delivery trace, from now on, with its time 0 at `began`."""
        self._passage.pipeline.begin_trace(self._env.now, began)
        self._passage.set_alarm()

    def restart(self, spec: LinkSpec, repetition: int) -> None:
        """Reset packet numbers and randomness. Call it only while no packet waits."""
        self._key = self._key._replace(repetition=repetition)
        self._earlier.append(self._passage)
        self._passage = self._begin(spec)

    def _begin(self, spec: LinkSpec) -> _Passage:
        pipeline = Pipeline(spec, self._key, began=self._env.now)
        return _Passage(self._env, pipeline, self._deliver)


class _Passage:
    """A pipeline that an alarm empties."""

    def __init__(self, env: simpy.Environment, pipeline: Pipeline, deliver: Deliver) -> None:
        self.pipeline = pipeline
        self._env = env
        self._deliver = deliver
        self._alarm = Alarm(env, self.empty)

    def carry(self, frame: bytes) -> None:
        self.pipeline.arrive(self._env.now, frame)
        self._alarm.set(self.pipeline.next_event())

    def set_alarm(self) -> None:
        self._alarm.set(self.pipeline.next_event())

    def empty(self) -> None:
        """Deliver the frames that are due by now."""
        now, leave = self._env.now, self.pipeline.leave
        while (departure := leave(now)) is not None:
            self._deliver(departure.packet.frame)
        self._alarm.set(self.pipeline.next_event())
