"""Device and verifier in one process: the protocol without a network."""

from __future__ import annotations

from collections import deque

from testbed.protocol.verifier_server import VerifierServer


class InProcessChannel:
    """Hands each message straight to a server and runs it when an answer is awaited."""

    def __init__(self, server: VerifierServer, peer: str = "verifier") -> None:
        self.peer = peer
        self._server = server
        self._answers: deque[list[bytes]] = deque()

    def send(self, frames: list[bytes]) -> None:
        """See Channel."""
        self._answers.extend(self._server.handle(b"device", frames))

    def receive(self, timeout: float) -> list[bytes] | None:
        """See Channel. Never waits: without an answer and without work there will be none."""
        while not self._answers and self._server.busy:
            self._answers.extend(frames for _, frames in self._server.step())
        return self._answers.popleft() if self._answers else None

    def close(self) -> None:
        """See Channel."""
        self._answers.clear()
