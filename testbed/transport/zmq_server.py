"""A verifier on the network: one ROUTER socket in front of a VerifierServer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import zmq

from testbed.errors import TestbedError
from testbed.transport.server import VerifierServer
from testbed.transport.zmq_client import harden


class ZmqVerifier:
    """Takes messages from any number of devices and lets the server work on them in turn."""

    def __init__(self, server: VerifierServer, endpoint: str, timeout: float) -> None:
        """Bind to `endpoint` (tcp://*:port). Raises TestbedError when the port is in use."""
        self._server = server
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.router_mandatory = True  # an answer nobody can take is noticed
        self._socket.router_handover = True  # a device that comes back keeps its identity
        harden(self._socket, timeout)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise TestbedError(
                f"--listen {endpoint}: {error}; choose a free port and an address of this machine"
            ) from None

    def serve(self, control: int | None = None, on_control: Callable[[], bool] = bool) -> None:
        """Serve until `on_control` returns False; it is called when file `control` is readable."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if control is not None:
            poller.register(control, zmq.POLLIN)
        while True:
            if not self._server.busy:
                self._server.trace.flush()
            ready = dict(poller.poll(0 if self._server.busy else None))
            if control in ready and not on_control():
                return
            if self._socket in ready:
                peer, *frames = self._socket.recv_multipart()
                for answer in self._server.handle(peer, frames):
                    self._send(peer, answer)
            for peer, answer in self._server.step():
                self._send(peer, answer)

    def close(self) -> None:
        """Stop listening."""
        self._context.destroy(linger=0)

    def _send(self, peer: bytes, frames: list[bytes]) -> None:
        # A device that is gone asks again when it is back, and is answered from memory.
        with contextlib.suppress(zmq.ZMQError):
            self._socket.send_multipart([peer, *frames])
