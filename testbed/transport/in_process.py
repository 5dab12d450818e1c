"""A channel between device and verifier in one process, without a network."""

from __future__ import annotations

from collections import deque

from typing_extensions import override

from testbed.protocol.channel import Channel
from testbed.protocol.process_driver import step
from testbed.protocol.verifier_server import VerifierServer


class InProcessChannel(Channel):
    """A channel that hands messages to a server, which works when an answer is awaited."""

    def __init__(self, server: VerifierServer, peer: str = "verifier") -> None:
        self.peer = peer
        self._server = server
        self._answers: deque[list[bytes]] = deque()

    @override
    def send(self, frames: list[bytes]) -> None:
        self._answers.extend(self._server.handle(b"device", frames))

    @override
    def receive(self, timeout: float) -> list[bytes] | None:
        # No waiting: without an answer and without work there will be none.
        while not self._answers and self._server.busy:
            self._answers.extend(frames for _, frames in step(self._server))
        return self._answers.popleft() if self._answers else None

    @override
    def close(self) -> None:
        self._answers.clear()
