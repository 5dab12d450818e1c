"""The verifier on the network: a ROUTER socket in front of a VerifierServer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import zmq

from testbed import clock
from testbed.errors import TestbedError
from testbed.protocol.channel import HEARTBEAT
from testbed.protocol.process_driver import step
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.endpoint import to_listen
from testbed.transport.zmq_client import harden, longest_silence, milliseconds

BURST = 100
"""Messages sent to one peer before the next peer is served."""
RETRY = 0.01
"""Seconds between two tries to send to a peer whose queue was full."""


def detect_dead_peers(socket: zmq.Socket[bytes], timeout: float) -> None:
    """Set the options by which TCP drops devices that are gone or do not read.

    Call it before bind. The verifier sends no heartbeats: libzmq 4.3.5 also stops reading a
    connection whose identity a newer one has taken over, and a heartbeat after its end would abort
    the process, as `harden` explains. Keepalive probes are sent only if the device's own heartbeats
    stay away.
    """
    socket.heartbeat_ivl = 0
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = socket.tcp_keepalive_intvl = math.ceil(clock.real(2 * HEARTBEAT))
    socket.tcp_maxrt = milliseconds(longest_silence(timeout))


class ZmqVerifier:
    """Receives messages from any number of devices, and lets the server work on them in turn.

    No device waits for another to read its answers. If the queue of a device is full, its remaining
    answers are kept and the work on its generation pauses, until the queue has room, the device
    asks again, or the device is gone.
    """

    def __init__(self, server: VerifierServer, endpoint: str, timeout: float) -> None:
        """Bind to `endpoint` (tcp://*:port). Raises TestbedError when the port is in use."""
        found = to_listen(endpoint, f"--listen {endpoint}")
        self._server = server
        self._waiting: dict[bytes, tuple[Iterator[list[bytes]], list[bytes] | None]] = {}
        server.blocked_peers = self._waiting.keys()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.router_mandatory = True  # raise if an answer cannot be queued
        self._socket.router_handover = True  # a device that comes back keeps its identity
        self._socket.ipv6 = found.ipv6
        harden(self._socket)
        detect_dead_peers(self._socket, timeout)
        try:
            self._socket.bind(found.text)
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
            ready = dict(poller.poll(self._patience()))
            if control in ready and not on_control():
                return
            for peer, waiting in list(self._waiting.items()):
                self._send(peer, *waiting)
            if self._socket in ready:
                peer, *frames = self._socket.recv_multipart()
                self._send(peer, self._server.handle(peer, frames))
            for peer, answer in step(self._server):
                self._send(peer, iter([answer]))

    def close(self) -> None:
        """Close the socket; connections end."""
        self._context.destroy(linger=0)

    def _patience(self) -> int | None:
        """Return the milliseconds to wait for a message; None for no limit."""
        if self._server.busy:
            return 0
        return milliseconds(RETRY) if self._waiting else None

    def _send(
        self, peer: bytes, answers: Iterator[list[bytes]], frames: list[bytes] | None = None
    ) -> None:
        """Send `frames`, then `answers`, until the queue is full; keep the rest for later.

        They replace answers kept earlier: a device's latest message says which parts it lacks.
        """
        self._waiting.pop(peer, None)
        for _ in range(BURST):
            frames = frames or next(answers, None)
            if frames is None:
                return
            try:
                self._socket.send_multipart([peer, *frames], zmq.DONTWAIT)
            except zmq.Again:
                break
            except zmq.ZMQError:
                return  # the device is gone; if it comes back it asks again, and gets a copy
            frames = None
        self._waiting[peer] = answers, frames
