"""A queue in front of a server."""

from collections import deque
from collections.abc import Callable

from testbed.links.codel import CoDel
from testbed.links.packet import Packet
from testbed.links.queue import Queue
from testbed.links.round_robin import RoundRobin
from testbed.links.service import Service


class RateServer:
    """Serves packets one after another; what the queue does not hold is dropped.

    Serialisation is charged from the first byte: at a constant rate a lone packet leaves
    size·8/rate after it came. The queue counts every byte not yet wholly sent, the packet being
    sent included. All times are in seconds on one clock; the caller passes arrivals in order.

    on_drop: is told of each packet that is dropped, and why: 'queue' for want of room, or the
        name of the discipline that found it to have waited too long.
    """

    def __init__(
        self,
        service: Service,
        rate: float | None,
        queue: Queue,
        on_drop: Callable[[Packet, str], None],
    ) -> None:
        self._service = service
        self._rate = rate
        self._queue = queue
        self._codel = _codel(queue)
        self._on_drop = on_drop
        self._sending: Packet | None = None
        self._waiting = _line(queue)
        self._backlog = 0
        self._finish = 0.0  # when the packet being sent, or else the last one sent, is sent
        self._unsent: float | None = None  # bytes of the packet being sent, while held

    def __len__(self) -> int:
        return len(self._waiting) + (self._sending is not None)

    def offer(self, now: float, packet: Packet) -> None:
        """Queue a packet that arrives now, and drop what there is no room for then."""
        self._waiting.append(packet)
        self._backlog += len(packet.frame)
        self._make_room(len(packet.frame))
        if self._sending is None and self._waiting:
            idle = now >= self._finish
            self._send(max(now, self._finish), self._waiting.popleft(), idle=idle)

    def next_finish(self) -> float | None:
        """When the packet now being sent will have left, or None if there is none."""
        return self._finish if self._sending is not None and self._unsent is None else None

    def pop(self) -> tuple[float, Packet]:
        """Take the packet being sent, with the time at which its last bit leaves."""
        finish, packet = self._finish, self._sending
        assert packet is not None
        self._sending = None
        self._backlog -= len(packet.frame)
        while self._waiting and self._sending is None:
            self._send_or_drop(finish, self._waiting.popleft())
        return finish, packet

    def change(
        self, now: float, service: Service, rate: float | None, queue: Queue, *, held: bool
    ) -> None:
        """Go on otherwise; what waits is kept, and its unsent bits go at the new rate.

        held: nothing is sent from now on, and nothing lost but what the queue does not hold.
        """
        unsent = self._unsent
        if unsent is None and self._sending is not None:
            unsent = self._service.unsent(now, self._finish, len(self._sending.frame))
        self._service, self._rate = service, rate
        if queue.discipline != self._queue.discipline:
            before, self._waiting = self._waiting, _line(queue)
            while before:
                self._waiting.append(before.popleft())
        if queue != self._queue:
            self._queue, self._codel = queue, _codel(queue)
        self._unsent = (unsent or 0.0) if held else None
        if not held and self._sending is not None and unsent is not None:
            self._finish = service.finish(now, unsent, idle=True)

    def _make_room(self, size: int) -> None:
        """Drop until all fits that waits, but no more than the `size` bytes that came last.

        More is there only after the limit has become smaller, and is sent rather than dropped.
        """
        while (
            size > 0
            and self._rate is not None
            and self._waiting
            and not self._queue.holds(len(self), self._backlog, self._rate)
        ):
            packet = self._waiting.pop()
            size -= len(packet.frame)
            self._backlog -= len(packet.frame)
            self._on_drop(packet, "queue")

    def _send_or_drop(self, now: float, packet: Packet) -> None:
        behind = self._backlog - len(packet.frame)
        if self._codel is not None and self._codel.drops(now, now - packet.arrival, behind):
            self._backlog = behind
            self._on_drop(packet, "codel")
        else:
            self._send(now, packet, idle=False)

    def _send(self, start: float, packet: Packet, *, idle: bool) -> None:
        self._sending = packet
        size = len(packet.frame)
        if self._unsent is not None:
            self._unsent = float(size)
        else:
            self._finish = self._service.finish(start, size, idle=idle)


def _codel(queue: Queue) -> CoDel | None:
    return CoDel(queue.target, queue.interval) if queue.discipline == "codel" else None


def _line(queue: Queue) -> deque[Packet] | RoundRobin:
    """Where packets wait: its `popleft` is sent next, and its `pop` dropped for want of room."""
    return RoundRobin() if queue.discipline == "round_robin" else deque()
