"""A queue and the server that sends its packets at the rate of the link."""

from collections import deque
from collections.abc import Callable

from testbed.links.codel import CoDel
from testbed.links.packet import Packet
from testbed.links.queue import Queue
from testbed.links.round_robin import RoundRobin
from testbed.links.service import Service


class RateServer:
    """Sends packets one after another, and drops those for which the queue has no room.

    Every packet takes its serialisation time: at a constant rate, one that finds the server idle
    leaves size·8/rate after it came. The packet being sent counts as part of the queue, with all
    its bytes. Times are in seconds on one clock; the caller passes arrivals in order.

    on_drop: called with each packet that is dropped and the reason: 'queue' if there was no room,
        'codel' if it had waited too long.
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
        self._finish = 0.0  # end of the packet being sent, or else of the last one
        self._unsent: float | None = None  # bytes of the packet being sent, while held

    def __len__(self) -> int:
        return len(self._waiting) + (self._sending is not None)

    def offer(self, now: float, packet: Packet) -> None:
        """Queue a packet that arrives now, and drop packets until the queue is within its limit."""
        self._waiting.append(packet)
        self._backlog += len(packet.frame)
        self._make_room(len(packet.frame))
        if self._sending is None and self._waiting:
            idle = now >= self._finish
            self._send(max(now, self._finish), self._waiting.popleft(), idle=idle)

    def next_finish(self) -> float | None:
        """Return the time at which the packet being sent will be sent, or None if there is none."""
        return self._finish if self._sending is not None and self._unsent is None else None

    def pop(self) -> tuple[float, Packet]:
        """Remove the packet being sent; return the time at which its last bit leaves, and it."""
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
        """Apply other settings from `now` on; waiting packets stay, unsent bits get the new rate.

        held: nothing is sent from now on; packets are dropped only where the queue is full.
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
        """Drop packets until the queue is within its limit, but at most `size` bytes.

        `size` is that of the packet that just came. The excess is larger only after the limit has
        become smaller; packets accepted before that are sent, not dropped.
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
    """Return a container of waiting packets: `popleft` gives the next to send, `pop` to drop."""
    return RoundRobin() if queue.discipline == "round_robin" else deque()
