"""The virtual-time driver: nodes as SimPy processes; passes and messages take virtual time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from testbed.decoding.randomness import KeyedRandomness, Randomiser
from testbed.methods.effects import Pass
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import PassResult
from testbed.protocol.channel import Receive, Transmit
from testbed.protocol.device_loop import Decoded, generation
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.simulation.connection_end import Message
from testbed.simulation.inbox import Inbox
from testbed.simulation.own_work import OwnWork
from testbed.simulation.virtual_clock import VirtualClock

Process = Generator[simpy.Event, Any, Any]
"""A SimPy process."""


class VirtualDevice:
    """A device with its draft model and its connection.

    send: queues a message on the connection. inbox: what arrives on it. peer: the verifier's name
    in messages to the user. timeout: the longest wait for an answer, in seconds.
    """

    def __init__(
        self,
        clock: VirtualClock,
        work: OwnWork,
        draft: Model,
        pace: Pace | None,
        *,
        send: Callable[[Message], None],
        inbox: Inbox[Message],
        peer: str,
        timeout: float,
        randomiser: Randomiser = KeyedRandomness,
    ) -> None:
        self._clock = clock
        self.work = work
        self.draft = draft
        self._pace = pace
        self._send = send
        self._inbox = inbox
        self._peer = peer
        self._timeout = timeout
        self._randomiser = randomiser

    def decode(
        self,
        request: DecodeRequest,
        prompt: Sequence[int],
        progress: Callable[[list[int]], None],
    ) -> Generator[simpy.Event, Any, Decoded]:
        """Generate one continuation; a process whose result is the generation."""
        device = generation(
            request,
            prompt,
            self.draft,
            self._peer,
            timeout=self._timeout,
            trace=self.work,
            progress=progress,
            randomiser=self._randomiser,
            pace=self._pace,
            around=self.work.around,
        )
        result: Any = None
        try:
            while True:
                needed = device.send(result)
                yield from self._clock.catch_up()
                match needed:
                    case Pass():
                        result = yield from _run(needed, self._clock, self.work)
                    case Transmit(frames):
                        result = self._send(frames)
                    case Receive(timeout):
                        result = yield from self._inbox.receive(timeout)
        except StopIteration as end:
            decoded: Decoded = end.value
            return decoded


class VirtualVerifier:
    """A verifier that serves its devices as testbed.transport.zmq_server does.

    It takes in one message, then does one piece of work for every session that has some.
    send: queues a message to a device. inbox: the device and frames of each message that arrives.
    """

    def __init__(
        self,
        clock: VirtualClock,
        work: OwnWork,
        server: VerifierServer,
        *,
        send: Callable[[bytes, Message], None],
        inbox: Inbox[tuple[bytes, Message]],
    ) -> None:
        self._clock = clock
        self._work = work
        self._server = server
        self._send = send
        self._inbox = inbox

    def serve(self) -> Process:
        """Serve for ever; a process."""
        while True:
            arrived = yield from self._inbox.receive(0.0 if self._server.busy else None)
            if arrived is not None:
                device, frames = arrived
                for answer in self._server.handle(device, frames):
                    yield from self._clock.catch_up()
                    self._send(device, answer)
            for work in self._server.ready():
                needed = self._server.advance(work)
                while isinstance(needed, Pass):
                    yield from self._clock.catch_up()
                    try:
                        done: PassResult | Exception = yield from _run(
                            needed, self._clock, self._work
                        )
                    except Exception as error:
                        done = error
                    needed = self._server.advance(work, done)
                yield from self._clock.catch_up()
                if needed is not None:
                    self._send(work.key[0], needed)


def _run(
    needed: Pass, clock: VirtualClock, work: OwnWork
) -> Generator[simpy.Event, Any, PassResult]:
    """Compute a pass while time stands, and let it last as long as its pace gives."""
    running = needed.passes.begin(needed.sequence, needed.keep)
    value = needed.of(running.logits)
    if running.due is not None:
        clock.spend(running.due - clock.now())
        work.note_lateness(0.0)
        yield from clock.catch_up()
    return running.end(value)
