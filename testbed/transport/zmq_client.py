"""A device's line to its verifier over ZeroMQ: one DEALER socket with a fixed identity."""

from __future__ import annotations

import math

import zmq
from zmq.utils.monitor import recv_monitor_message

from testbed import clock
from testbed.errors import TestbedError
from testbed.protocol.channel import LinkTimeout, Reconnected
from testbed.protocol.messages import MAX_MESSAGE
from testbed.transport.endpoint import to_connect

HEARTBEAT = 5.0
"""Seconds between the heartbeats of a device."""
HANDSHAKE, RECONNECT = 30.0, 0.1
"""Seconds that a greeting may take, and between two tries to connect: as ZeroMQ has them."""
QUEUE = 1000
"""Messages that may wait in a socket to be sent."""


def milliseconds(seconds: float) -> int:
    """A time of testbed.clock as ZeroMQ is told of it, which knows real time only."""
    return math.ceil(clock.real(seconds) * 1000)


def harden(socket: zmq.Socket[bytes]) -> None:
    """Settings of both ends, before bind or connect.

    What has arrived may wait without limit. At a limit libzmq 4.3.5 stops reading a connection; if
    that then ends, the next heartbeat, due at this end or already received as a PING, aborts the
    process: "Assertion failed: !_io_error", zeromq/libzmq issues 3937 and 4767.
    """
    socket.linger = 0
    socket.sndhwm = QUEUE
    socket.rcvhwm = 0
    socket.maxmsgsize = MAX_MESSAGE
    socket.handshake_ivl = milliseconds(HANDSHAKE)


def longest_silence(timeout: float) -> float:
    """Seconds after which either end gives up a connection on which nothing comes back.

    A heartbeat queues behind a large message: a shorter limit would break slow links that work.
    """
    return max(timeout, HEARTBEAT)


def send_heartbeats(socket: zmq.Socket[bytes], timeout: float) -> None:
    """Settings of a device, before connect: it sends heartbeats, and connects anew without answer.

    A message waits up to `timeout` seconds for room in the queue.
    """
    socket.sndtimeo = milliseconds(timeout)
    socket.heartbeat_ivl = milliseconds(HEARTBEAT)
    socket.heartbeat_timeout = milliseconds(longest_silence(timeout))
    socket.reconnect_ivl = milliseconds(RECONNECT)


class ZmqChannel:
    """See Channel."""

    def __init__(self, endpoint: str, identity: str, peer: str, timeout: float) -> None:
        """Connect to `endpoint` (tcp://host:port).

        `timeout` is the longest silence in seconds. Raises LinkTimeout when nobody answers there,
        TestbedError when there is no such place.
        """
        self.peer = f"{peer} at {endpoint}"
        found = to_connect(endpoint, endpoint)
        self._timeout = timeout
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.routing_id = identity.encode()
        self._socket.immediate = True  # no queueing for a line that is down
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

    def send(self, frames: list[bytes]) -> None:
        """See Channel."""
        try:
            self._socket.send_multipart(frames)
        except zmq.Again:
            raise LinkTimeout(
                f"the line to {self.peer} did not come back within {self._timeout:g} s"
            ) from None

    def receive(self, timeout: float) -> list[bytes] | None:
        """See Channel."""
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

    def close(self) -> None:
        """See Channel."""
        self._socket.disable_monitor()
        self._context.destroy(linger=0)
