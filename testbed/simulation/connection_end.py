"""One end of a ZeroMQ connection over TCP in virtual time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from math import inf
from typing import Any, Protocol

import simpy

from testbed.simulation.alarm import Alarm
from testbed.simulation.frame import Frame
from testbed.simulation.network import VirtualNetwork
from testbed.simulation.overhead import HostOverhead
from testbed.simulation.tcp.segment import Segment
from testbed.simulation.zmtp import ANSWERS, Element, writes

Message = list[bytes]
"""The frames of a message, handed over as they are."""


class Tcp(Protocol):
    """One end of a TCP connection, as testbed.simulation.tcp has it; times in seconds."""

    def connect(self, now: float) -> None:
        """Send a SYN; the end that does not waits for one."""

    def write(self, now: float, size: int) -> None:
        """Write `size` more bytes of the stream."""

    def arrive(self, now: float, segment: Any) -> None:
        """Take in a segment."""

    def next_timer(self) -> float | None:
        """Return the time at which `expire` has something to do, or None."""

    def expire(self, now: float) -> None:
        """Do everything that is due."""


MakeTcp = Callable[[Callable[[Any], None], Callable[[float, int], None]], Tcp]
"""Makes an end of a TCP connection.

It takes what sends a segment, and what receives the time and the total of bytes in order.
"""


class ConnectionEnd:
    """Writes elements and messages to TCP, and reads those of its peer.

    host, address, number: where it is, and the connection's number.
    sizes: the bytes of each element.
    receive: called with each message that arrives, whole and in order.
    ready: called when the peer's READY has arrived.
    """

    peer: ConnectionEnd

    def __init__(
        self,
        env: simpy.Environment,
        network: VirtualNetwork,
        host: str,
        number: int,
        *,
        address: IPv4Address,
        sizes: Mapping[Element, int],
        tcp: MakeTcp,
        overhead: HostOverhead,
        receive: Callable[[Message], None],
        ready: Callable[[], None],
    ) -> None:
        self._env = env
        self._network = network
        self._host, self._number = host, number
        self._address = address.packed
        self._sizes = sizes
        self._overhead = overhead
        self._receive = receive
        self._ready = ready
        self._tcp = tcp(self._send_segment, self._deliver)
        self._alarm = Alarm(env, self._expire)
        self._written = 0
        self._expected: deque[tuple[int, Element | Message]] = deque()
        """The peer's elements and messages under way, each with its end in the peer's stream."""
        self._connecting = self._closed = False
        self._sent_to = 1
        self._first_sent: list[tuple[int, float]] = []
        """The end of each segment with new data, by its sequence number, and when it was sent."""
        self._in_order = 0
        self._taking = 0.0  # when the segment that is taken in was sent
        self.recoveries: list[tuple[int, int]] = []
        """Of each byte that arrived late: when it was first sent, and again, in ns.

        "Late" is once bytes behind it had to wait for a copy of it."""
        network.receive(host, number, self._take_in)

    def connect(self) -> None:
        """Open TCP, and begin the greeting once the other end has answered."""
        self._connecting = True
        self._tcp.connect(self._env.now)
        self._alarm.set(self._tcp.next_timer())

    def send(self, message: Message) -> None:
        """Write a message, after the host's overhead; nothing once the end is closed."""
        self._after(self._overhead.send, self._write_message, message)

    def write(self, element: Element) -> None:
        """Write an element other than a message."""
        self._write(element, (self._sizes[element],))

    def close(self) -> None:
        """Send and receive nothing more."""
        self._closed = True
        self._alarm.cancel()
        self._network.receive(self._host, self._number, None)

    def _write_message(self, message: Message) -> None:
        self._write(message, writes(len(frame) for frame in message))

    def _hand_over(self, message: Message) -> None:
        if not self._closed:
            self._receive(message)

    def _write(self, item: Element | Message, sizes: Iterable[int]) -> None:
        if self._closed:
            return
        sizes = tuple(sizes)
        self._written += sum(sizes)
        self.peer._expected.append((self._written, item))
        for size in sizes:
            self._tcp.write(self._env.now, size)
        self._alarm.set(self._tcp.next_timer())

    def _send_segment(self, segment: Segment) -> None:
        segment.sent = self._env.now
        end = segment.sequence + segment.length
        if segment.length and end > self._sent_to:
            self._sent_to = end
            self._first_sent.append((end, self._env.now))
        frame = Frame.of(self._address, self.peer._address, self._number, segment)
        self._network.send(self._host, frame)

    def _take_in(self, segment: Any) -> None:
        self._taking = segment.sent
        self._tcp.arrive(self._env.now, segment)
        if self._connecting:
            self._connecting = False
            self.write(Element.SIGNATURE)
        self._alarm.set(self._tcp.next_timer())

    def _expire(self) -> None:
        self._tcp.expire(self._env.now)
        self._alarm.set(self._tcp.next_timer())

    def _deliver(self, now: float, total: int) -> None:
        first = self.peer._first_sending(self._in_order + 1)
        if first < self._taking:
            self.recoveries.append((round(first * 1e9), round(self._taking * 1e9)))
        self._in_order = total
        expected = self._expected
        while expected and expected[0][0] <= total:
            _, item = expected.popleft()
            if isinstance(item, list):
                self._after(self._overhead.receive, self._hand_over, item)
                continue
            for answer in ANSWERS.get(item, ()):
                self.write(answer)
            if item in (Element.DEALER_READY, Element.ROUTER_READY):
                self._ready()

    def _first_sending(self, sequence: int) -> float:
        """Return when the byte with this number was first sent."""
        return self._first_sent[bisect_right(self._first_sent, (sequence, inf))][1]

    def _after(self, seconds: float, act: Callable[[Message], None], message: Message) -> None:
        """Act on a message after some seconds."""
        if seconds == 0:
            act(message)
        else:
            self._env.timeout(seconds).callbacks.append(lambda _: act(message))
