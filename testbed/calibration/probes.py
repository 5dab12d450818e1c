"""Numbered UDP packets from one host to another, each with the times it was sent and arrived.

Both ends are held by this process, in the hosts' network namespaces, so that one clock times them.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from testbed.emulation.namespace import Namespace
from testbed.emulation.receiving import (
    CONTROL,
    arrival_time,
    ask_for_stamps,
    enlarge_receive_buffer,
)
from testbed.host.realtime import seconds_to_sleep

HEADERS = 8 + 20 + 14
"""Bytes that UDP, IP and Ethernet add to a payload."""
SMALL = 100
"""Payload bytes of a packet that tests nothing but its delay."""
PATIENCE = 0.3
"""Seconds after the latest time at which a packet can arrive."""

_REST = 20e-6  # seconds
_BUFFER = 32 * 2**20  # bytes that may arrive without being looked at
_LARGEST = 2048
_LABEL = struct.Struct("!II")  # which flight, and which packet of it

Floats = NDArray[np.float64]


@dataclass(slots=True)
class ProbeTrain:
    """What became of packets 0, 1, … of one path, in seconds on the monotonic clock."""

    sent: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the packets that arrived, in the order in which they did."""
    times: list[float] = field(default_factory=list)
    """When each of `numbers` arrived."""

    @property
    def delays(self) -> Floats:
        """One-way delay of each packet that arrived, in the order of arrival."""
        delays: Floats = np.asarray(self.times) - np.asarray(self.sent)[self.numbers]
        return delays

    @property
    def lost(self) -> NDArray[np.bool_]:
        """For each packet that was sent, whether it is missing."""
        lost = np.ones(len(self.sent), dtype=bool)
        lost[self.numbers] = False
        return lost

    @property
    def inversions(self) -> int:
        """Packets that arrived behind one that was sent after them."""
        if not self.numbers:
            return 0
        numbers = np.asarray(self.numbers)
        return int(np.sum(numbers < np.maximum.accumulate(numbers)))


class ProbePath:
    """One direction of a link, from a socket in one host to one in the other."""

    def __init__(self, source: Namespace, target: Namespace, address: str) -> None:
        """`address` is the target's on the link."""
        with target.entered():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with source.entered():
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ask_for_stamps(self.receiver)
        enlarge_receive_buffer(self.receiver, _BUFFER)
        self.receiver.bind((address, 0))
        self.receiver.setblocking(False)
        self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._sender.connect(self.receiver.getsockname())
        self._flight = ProbeTrain()
        self._flights = 0

    def close(self) -> None:
        """Close both sockets."""
        self._sender.close()
        self.receiver.close()

    def begin(self) -> ProbeTrain:
        """Forget all that was sent before, even if it arrives later; the record of what comes."""
        self._flight = ProbeTrain()
        self._flights += 1
        return self._flight

    def send(self, payload: int = SMALL) -> None:
        """Send the next packet of the flight, of `payload` bytes."""
        data = _LABEL.pack(self._flights, len(self._flight.sent)).ljust(payload, b"x")
        self._flight.sent.append(time.monotonic())
        self._sender.send(data)

    def drain(self) -> None:
        """Enter what has arrived into the record."""
        flight = self._flight
        while True:
            try:
                data, control, _flags, _address = self.receiver.recvmsg(_LARGEST, CONTROL)
            except BlockingIOError:
                return
            flights, number = _LABEL.unpack_from(data)
            if flights == self._flights:
                flight.numbers.append(number)
                flight.times.append(arrival_time(control))


def drain_until(paths: Sequence[ProbePath], when: float) -> None:
    """Take in what arrives on all the paths until `when` (monotonic clock, seconds).

    Who is late still rests for a moment: in real time, on a single processor, the kernel itself
    would not get round to carrying packets otherwise.
    """
    receivers = {path.receiver: path for path in paths}
    while True:
        left = seconds_to_sleep(when)
        for receiver in select.select(list(receivers), [], [], left or _REST)[0]:
            receivers[receiver].drain()
        if left <= 0:
            return


def drain_until_all(
    paths: Sequence[ProbePath], flights: Sequence[ProbeTrain], count: int, when: float
) -> None:
    """The same, but only until `count` different packets of each flight have arrived."""
    while any(len(set(flight.numbers)) < count for flight in flights) and time.monotonic() < when:
        drain_until(paths, time.monotonic() + 1e-3)


def send_paced(
    paths: Sequence[ProbePath],
    count: int,
    every: float,
    payload: int,
    awaited: Callable[[ProbeTrain], float],
    *,
    all_suffice: bool = False,
) -> list[ProbeTrain]:
    """Send `count` packets on each of the paths, all of them every `every` seconds.

    awaited: the time (monotonic clock, seconds) until which to wait for what was sent.
    all_suffice: only until all have arrived; what follows them, such as copies, is not looked at.
    """
    flights = [path.begin() for path in paths]
    began = time.monotonic()
    for number in range(count):
        drain_until(paths, began + number * every)
        for path in paths:
            path.send(payload)
    deadline = max(awaited(flight) for flight in flights) + PATIENCE
    if all_suffice:
        drain_until_all(paths, flights, count, deadline)
    else:
        drain_until(paths, deadline)
    return flights
