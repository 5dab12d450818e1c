"""A queue in front of a server."""

from collections import deque
from collections.abc import Callable

from testbed.links.codel import CoDel
from testbed.links.packet import Packet
from testbed.links.queue import Queue
from testbed.links.service import Service


class RateServer:
    """Serves packets one after another; what the queue does not hold is dropped.

    Serialisation is charged from the first byte: at a constant rate a lone packet leaves
    size·8/rate after it came. The queue counts every byte not yet wholly sent, the packet being
    sent included. All times are in seconds on one clock; the caller passes arrivals in order.

    on_drop: is told of each packet that the discipline drops from the head, and why.
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
        self._waiting: deque[Packet] = deque()
        self._backlog = 0
        self._finish = 0.0  # when the first waiting packet, or else the last one sent, is sent
        self._unsent: float | None = None  # bytes of the first one, while the server is held

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, now: float, packet: Packet) -> bool:
        """Queue a packet that arrives now; False if the queue is full and the packet dropped."""
        size = len(packet.frame)
        if self._rate is not None and not self._queue.holds(
            len(self._waiting) + 1, self._backlog + size, self._rate
        ):
            return False
        self._waiting.append(packet)
        self._backlog += size
        if len(self._waiting) == 1:
            self._serve_head(max(now, self._finish), idle=now >= self._finish)
        return True

    def next_finish(self) -> float | None:
        """When the packet now being sent will have left, or None if there is none."""
        return self._finish if self._waiting and self._unsent is None else None

    def pop(self) -> tuple[float, Packet]:
        """Take the packet being sent, with the time at which its last bit leaves."""
        finish, packet = self._finish, self._waiting.popleft()
        self._backlog -= len(packet.frame)
        self._drop_from_head(finish)
        if self._waiting:
            self._serve_head(finish, idle=False)
        return finish, packet

    def change(
        self, now: float, service: Service, rate: float | None, queue: Queue, *, held: bool
    ) -> None:
        """Go on otherwise; what waits is kept, and its unsent bits go at the new rate.

        held: nothing is sent from now on, and nothing lost but what the queue does not hold.
        """
        unsent = self._unsent
        if unsent is None and self._waiting:
            unsent = self._service.unsent(now, self._finish, len(self._waiting[0].frame))
        self._service, self._rate = service, rate
        if queue != self._queue:
            self._queue, self._codel = queue, _codel(queue)
        self._unsent = (unsent or 0.0) if held else None
        if not held and self._waiting and unsent is not None:
            self._finish = service.finish(now, unsent, idle=True)

    def _serve_head(self, start: float, *, idle: bool) -> None:
        size = len(self._waiting[0].frame)
        if self._unsent is not None:
            self._unsent = float(size)
        else:
            self._finish = self._service.finish(start, size, idle=idle)

    def _drop_from_head(self, now: float) -> None:
        while self._codel is not None and self._waiting:
            head = self._waiting[0]
            behind = self._backlog - len(head.frame)
            if not self._codel.drops(now, now - head.arrival, behind):
                return
            self._waiting.popleft()
            self._backlog = behind
            self._on_drop(head, "codel")


def _codel(queue: Queue) -> CoDel | None:
    return CoDel(queue.target, queue.interval) if queue.discipline == "codel" else None
