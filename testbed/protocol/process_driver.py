"""The driver of a process: passes and messages take their real time, one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from testbed.decoding.randomness import KeyedRandomness, Randomiser
from testbed.events import Tracer
from testbed.methods.effects import Around, Pass, unchanged
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import PassResult
from testbed.protocol.channel import Channel, Receive, Transmit
from testbed.protocol.device_loop import Decoded, generation
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer


def run_pass(needed: Pass) -> PassResult:
    """Run a forward pass, and wait until its pace allows its end."""
    return needed.passes.run(needed.sequence, needed.keep, needed.of)


def generate(
    task: DecodeRequest,
    prompt: Sequence[int],
    draft: Model,
    channel: Channel,
    *,
    timeout: float,
    trace: Tracer,
    progress: Callable[[list[int]], None] = lambda tokens: None,
    randomiser: Randomiser = KeyedRandomness,
    pace: Pace | None = None,
    around: Around = unchanged,
) -> Decoded:
    """Run testbed.protocol.device_loop.generation over a channel, and wait until it has ended."""
    return drive(
        generation(
            task,
            prompt,
            draft,
            channel.peer,
            timeout=timeout,
            trace=trace,
            progress=progress,
            randomiser=randomiser,
            pace=pace,
            around=around,
        ),
        channel,
    )


def drive(device: Generator[Pass | Transmit | Receive, Any, Decoded], channel: Channel) -> Decoded:
    """Provide what a device needs until its generation has ended; failures are thrown into it."""

    try:
        needed = next(device)
        while True:
            result: Any = None
            try:
                if isinstance(needed, Pass):
                    result = run_pass(needed)
                elif isinstance(needed, Receive):
                    result = channel.receive(needed.timeout)
                else:
                    channel.send(needed.frames)
            except Exception as error:
                needed = device.throw(error)
            else:
                needed = device.send(result)
    except StopIteration as ended:
        decoded: Decoded = ended.value
        return decoded


def step(server: VerifierServer) -> Iterator[tuple[bytes, list[bytes]]]:
    """Do one piece of work for every session that has some; yield (peer, frames) to send.

    Passes are run one after another, each to its end.
    """
    for work in server.ready():
        needed = server.advance(work)
        while isinstance(needed, Pass):
            try:
                done: PassResult | Exception = run_pass(needed)
            except Exception as error:
                done = error
            needed = server.advance(work, done)
        if needed is not None:
            yield work.key[0], needed
