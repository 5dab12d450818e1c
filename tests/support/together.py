"""Drivers without processes: passes take no time, messages arrive at once, sessions take turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from testbed.methods.effects import Pass
from testbed.models.compute.paced_reader import PassResult
from testbed.protocol.channel import Receive, Transmit
from testbed.protocol.verifier_server import VerifierServer


def at_once(needed: Pass) -> PassResult:
    """Run a pass; it takes no longer than its computing."""
    running = needed.passes.begin(needed.sequence, needed.keep)
    return running.end(needed.of(running.logits))


class Party:
    """A device that decodes, and the messages on their way to it."""

    def __init__(
        self, name: bytes, device: Generator[Any, Any, Any], server: VerifierServer
    ) -> None:
        self.inbox: deque[list[bytes]] = deque()
        self.result: Any = None
        self.ended = False
        self._name, self._device, self._server = name, device, server
        self._run(None)

    def take(self) -> None:
        """Give the device its next message; it goes on until it needs another, or has ended."""
        self._run(self.inbox.popleft())

    def _run(self, result: Any) -> None:
        try:
            needed = self._device.send(result)
            while not isinstance(needed, Receive):
                result = self._provide(needed)
                needed = self._device.send(result)
        except StopIteration as end:
            self.result, self.ended = end.value, True

    def _provide(self, needed: Pass | Transmit) -> PassResult | None:
        if isinstance(needed, Pass):
            return at_once(needed)
        self.inbox += self._server.handle(self._name, needed.frames)
        return None


def decode_together(
    server: VerifierServer,
    *devices: Generator[Any, Any, Any],
    batched: Callable[[Sequence[Pass]], None] = lambda passes: None,
) -> list[Any]:
    """Drive devices and one verifier until all have ended; return the results of the devices.

    The passes of all sessions that have work are run together; `batched` is called with them.
    """
    parties = {b"%d" % i: Party(b"%d" % i, each, server) for i, each in enumerate(devices)}
    while waiting := [party for party in parties.values() if not party.ended]:
        works = server.ready()
        needed = [server.advance(work) for work in works]
        while passes := [each for each in needed if isinstance(each, Pass)]:
            batched(passes)
            needed = [
                server.advance(work, attempt(each)) if isinstance(each, Pass) else each
                for work, each in zip(works, needed, strict=True)
            ]
        for work, frames in zip(works, needed, strict=True):
            if isinstance(frames, list):
                parties[work.key[0]].inbox.append(frames)
        assert works or any(party.inbox for party in waiting), "nobody will ever answer"
        for party in waiting:
            if party.inbox:
                party.take()
    return [party.result for party in parties.values()]


def attempt(needed: Pass) -> PassResult | Exception:
    """Run a pass; return its result, or the error that it ended in."""
    try:
        return at_once(needed)
    except Exception as error:
        return error
