"""A ZeroMQ connection over TCP in virtual time, between a device and its verifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import simpy

from testbed.protocol.channel import HEARTBEAT
from testbed.simulation.alarm import Alarm
from testbed.simulation.connection_end import ConnectionEnd, MakeTcp, Message
from testbed.simulation.contract import Recoveries
from testbed.simulation.network import VirtualNetwork
from testbed.simulation.overhead import NO_OVERHEAD, HostOverhead
from testbed.simulation.zmtp import Element, element_sizes


class Connection:
    """The connection of a device's DEALER to a verifier's ROUTER, from its first SYN to `close`.

    device, verifier: the names of their hosts.
    identity: the device's, at the verifier.
    tcp: makes each end of the TCP connection.
    at_device, at_verifier: called with each message that arrives there, whole and in order.

    The device sends heartbeats, as testbed.transport does. Neither end gives the connection up:
    whoever waits for an answer does, after a time-out of its own.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: VirtualNetwork,
        device: str,
        verifier: str,
        *,
        identity: bytes,
        tcp: MakeTcp,
        at_device: Callable[[Message], None],
        at_verifier: Callable[[Message], None],
        overhead: HostOverhead = NO_OVERHEAD,
    ) -> None:
        self._env = env
        self.opened = env.event()
        """Occurs when the device may send messages."""
        self._heartbeat = Alarm(env, self._send_heartbeat)
        to = network.address(verifier, device)
        make_end = partial(
            ConnectionEnd,
            env,
            network,
            number=network.open(),
            sizes=element_sizes(identity),
            tcp=tcp,
            overhead=overhead,
        )
        self._device = make_end(
            host=device, address=network.source(device, to), receive=at_device, ready=self._open
        )
        self._verifier = make_end(
            host=verifier, address=to, receive=at_verifier, ready=lambda: None
        )
        self._device.peer, self._verifier.peer = self._verifier, self._device
        self._device.connect()

    def send(self, message: Message) -> None:
        """Send a message from the device."""
        self._device.send(message)

    def answer(self, message: Message) -> None:
        """Send a message from the verifier."""
        self._verifier.send(message)

    @property
    def recoveries(self) -> Recoveries:
        """Spans of both directions in which lost bytes were sent again, in ns."""
        return {"up": self._verifier.recoveries, "down": self._device.recoveries}

    def close(self) -> None:
        """End the connection: both ends send and receive nothing more."""
        self._heartbeat.cancel()
        self._device.close()
        self._verifier.close()

    def _open(self) -> None:
        self._heartbeat.set(self._env.now + HEARTBEAT)
        self.opened.succeed()

    def _send_heartbeat(self) -> None:
        self._device.write(Element.PING)
        self._heartbeat.set(self._env.now + HEARTBEAT)
