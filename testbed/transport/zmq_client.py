"""The device's channel to its verifier over ZeroMQ: a DEALER socket with a fixed identity."""

from __future__ import annotations

import math

import zmq
from typing_extensions import override
from zmq.utils.monitor import recv_monitor_message

from testbed import clock
from testbed.errors import TestbedError
from testbed.protocol.channel import HEARTBEAT, Channel, LinkTimeout, Reconnected
from testbed.protocol.messages import MAX_MESSAGE
from testbed.transport.endpoint import to_connect

HANDSHAKE, RECONNECT = 30.0, 0.1
"""Seconds that a greeting may take, and between two tries to connect; ZeroMQ's defaults."""
QUEUE = 1000
"""Messages that may wait in a socket to be sent."""


def milliseconds(seconds: float) -> int:
    """Convert seconds of testbed.clock to ZeroMQ's milliseconds of real time, rounded up."""
    return math.ceil(clock.real(seconds) * 1000)


def harden(socket: zmq.Socket[bytes]) -> None:
    """Set the options of both ends; call it before bind or connect.

    The receive queue has no limit. At a limit libzmq 4.3.5 stops reading a connection; if that
    connection then ends, the next heartbeat, due at this end or already received as a PING, aborts
    the process: "Assertion failed: !_io_error", zeromq/libzmq issues 3937 and 4767.
    """
    socket.linger = 0
    socket.sndhwm = QUEUE
    socket.rcvhwm = 0
    socket.maxmsgsize = MAX_MESSAGE
    socket.handshake_ivl = milliseconds(HANDSHAKE)


def longest_silence(timeout: float) -> float:
    """Return the seconds without an answer after which either end gives a connection up.

    A heartbeat queues behind a large message, so a shorter limit would break slow links that work.
    """
    return max(timeout, HEARTBEAT)


def send_heartbeats(socket: zmq.Socket[bytes], timeout: float) -> None:
    """Set the options of a device; call it before connect.

    The device sends heartbeats, and reconnects if they are not answered. A message waits up to
    `timeout` seconds for room in the queue.
    """
    socket.sndtimeo = milliseconds(timeout)
    socket.heartbeat_ivl = milliseconds(HEARTBEAT)
    socket.heartbeat_timeout = milliseconds(longest_silence(timeout))
    socket.reconnect_ivl = milliseconds(RECONNECT)


class ZmqChannel(Channel):
    """A channel over a ZeroMQ connection that re-establishes itself."""

    def __init__(self, endpoint: str, identity: str, peer: str, timeout: float) -> None:
        """Connect to `endpoint` (tcp://host:port).

        identity: the device's name at the verifier, which survives reconnections. peer: the
        verifier's name in messages. timeout: the longest silence in seconds.

        Raises LinkTimeout when no verifier answers there, TestbedError when the address is wrong.
        """
        self.peer = f"{peer} at {endpoint}"
        found = to_connect(endpoint, endpoint)
        self._timeout = timeout
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.routing_id = identity.encode()
        self._socket.immediate = True  # no queueing for a connection that is down
        self._socket.ipv6 = found.ipv6
        harden(self._socket)
        send_heartbeats(self._socket, timeout)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._socket.connect(found.text)
        except zmq.ZMQError as error:
            self.close()
            raise TestbedError(f"{endpoint}: {error}; write it as tcp://host:port") from None
        if not self._monitor.poll(milliseconds(timeout)):
            self.close()
            raise LinkTimeout(f"{self.peer} did not answer within {timeout:g} s")
        recv_monitor_message(self._monitor)

    @override
    def send(self, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart(frames)
        except zmq.Again:
            raise LinkTimeout(
                f"the connection to {self.peer} did not come back within {self._timeout:g} s"
            ) from None

    @override
    def receive(self, timeout: float) -> list[bytes] | None:
        deadline = clock.now() + timeout
        while True:
            left = max(0.0, deadline - clock.now())
            ready = dict(self._poller.poll(milliseconds(left)))
            if self._socket in ready:
                return self._socket.recv_multipart()
            if not ready:
                return None
            if recv_monitor_message(self._monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                raise Reconnected

    @override
    def close(self) -> None:
        self._socket.disable_monitor()
        self._context.destroy(linger=0)
