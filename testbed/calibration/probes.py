"""Probes: numbered UDP packets from one host to another, with their times of sending and arrival.

This process holds the sockets in both hosts' network namespaces, so that one clock times them.
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
"""Payload bytes of a packet that measures delay alone."""
PATIENCE = 0.3
"""Seconds to wait beyond the latest time at which a packet can arrive."""

_REST = 20e-6  # seconds to wait for packets when late
_BUFFER = 32 * 2**20  # bytes of the sockets' buffers
_LARGEST = 2048
_LABEL = struct.Struct("!II")  # numbers of the train, and of the packet in it

Floats = NDArray[np.float64]


@dataclass(slots=True)
class ProbeTrain:
    """The packets 0, 1, … sent on one path. Times in seconds of the monotonic clock."""

    sent: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """The numbers of the packets that arrived, in the order of arrival."""
    times: list[float] = field(default_factory=list)
    """The arrival time of each of `numbers`."""

    @property
    def delays(self) -> Floats:
        """The one-way delay of each packet that arrived, in the order of arrival."""
        delays: Floats = np.asarray(self.times) - np.asarray(self.sent)[self.numbers]
        return delays

    @property
    def lost(self) -> NDArray[np.bool_]:
        """For each packet that was sent: True if it has not arrived."""
        lost = np.ones(len(self.sent), dtype=bool)
        lost[self.numbers] = False
        return lost

    @property
    def inversions(self) -> int:
        """The number of packets that arrived behind one that was sent after them."""
        if not self.numbers:
            return 0
        numbers = np.asarray(self.numbers)
        return int(np.sum(numbers < np.maximum.accumulate(numbers)))


class ProbePath:
    """One direction of a link: a socket in one host that sends to a socket in the other."""

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
        self._train = ProbeTrain()
        self._trains = 0

    def close(self) -> None:
        """Close both sockets."""
        self._sender.close()
        self.receiver.close()

    def begin(self) -> ProbeTrain:
        """Start and return a new train; packets of earlier trains that still arrive are ignored."""
        self._train = ProbeTrain()
        self._trains += 1
        return self._train

    def send(self, payload: int = SMALL) -> None:
        """Send the next packet of the train, with `payload` bytes."""
        data = _LABEL.pack(self._trains, len(self._train.sent)).ljust(payload, b"x")
        self._train.sent.append(time.monotonic())
        self._sender.send(data)

    def drain(self) -> None:
        """Add the packets that have arrived to the train, without waiting."""
        train = self._train
        while True:
            try:
                data, control, _flags, _address = self.receiver.recvmsg(_LARGEST, CONTROL)
            except BlockingIOError:
                return
            trains, number = _LABEL.unpack_from(data)
            if trains == self._trains:
                train.numbers.append(number)
                train.times.append(arrival_time(control))


def drain_until(paths: Sequence[ProbePath], when: float) -> None:
    """Receive packets on all the paths until `when` (monotonic clock, seconds).

    It waits for a moment even if it is late: with real-time priority on a single processor the
    kernel could not carry packets otherwise.
    """
    receivers = {path.receiver: path for path in paths}
    while True:
        left = seconds_to_sleep(when)
        for receiver in select.select(list(receivers), [], [], left or _REST)[0]:
            receivers[receiver].drain()
        if left <= 0:
            return


def drain_until_all(
    paths: Sequence[ProbePath], trains: Sequence[ProbeTrain], count: int, when: float
) -> None:
    """Receive packets until `when`, or until `count` different ones of each train have arrived."""
    while any(len(set(train.numbers)) < count for train in trains) and time.monotonic() < when:
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
    """Send `count` packets on each of the paths, one per path every `every` seconds.

    payload: bytes of each packet. awaited: returns the time (monotonic clock, seconds) until which
    to wait for the packets of a train. all_suffice: stop waiting once all have arrived; later
    packets, such as duplicates, are then not counted. Returns a train for each path.
    """
    trains = [path.begin() for path in paths]
    began = time.monotonic()
    for number in range(count):
        drain_until(paths, began + number * every)
        for path in paths:
            path.send(payload)
    deadline = max(awaited(train) for train in trains) + PATIENCE
    if all_suffice:
        drain_until_all(paths, trains, count, deadline)
    else:
        drain_until(paths, deadline)
    return trains
