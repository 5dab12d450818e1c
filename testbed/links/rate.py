"""A tail-drop queue in front of a server of fixed rate."""

from collections import deque

from testbed.links.packet import Packet


class RateServer:
    """Serves packets one after another at `rate` bit/s; what exceeds `queue` bytes is dropped.

    Serialisation is charged from the first byte: a lone packet leaves size·8/rate after it came.
    The queue counts every byte not yet wholly sent, the packet being sent included. All times
    are in seconds on one clock; the caller passes arrivals in order.
    """

    def __init__(self, rate: float | None, queue: int) -> None:
        self._rate = rate
        self._queue = queue
        self._waiting: deque[Packet] = deque()
        self._backlog = 0
        self._finish = 0.0  # when the first waiting packet, or else the last one sent, is sent

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, now: float, packet: Packet) -> bool:
        """Queue a packet that arrives now; False if the queue is full and the packet dropped."""
        if self._rate is not None and self._backlog + len(packet.frame) > self._queue:
            return False
        if not self._waiting:
            self._finish = max(now, self._finish) + self._seconds(len(packet.frame))
        self._waiting.append(packet)
        self._backlog += len(packet.frame)
        return True

    def next_finish(self) -> float | None:
        """When the packet now being sent will have left, or None if there is none."""
        return self._finish if self._waiting else None

    def pop(self) -> tuple[float, Packet]:
        """Take the packet being sent, with the time at which its last bit leaves."""
        finish, packet = self._finish, self._waiting.popleft()
        self._backlog -= len(packet.frame)
        if self._waiting:
            self._finish += self._seconds(len(self._waiting[0].frame))
        return finish, packet

    def change(self, now: float, rate: float | None, queue: int) -> None:
        """Go on at another rate; what waits is kept, and its unsent bits go at the new rate."""
        if self._waiting:
            unsent = 0.0 if self._rate is None else max(0.0, self._finish - now) * self._rate
            self._finish = now + (0.0 if rate is None else unsent / rate)
        self._rate, self._queue = rate, queue

    def _seconds(self, size: int) -> float:
        return 0.0 if self._rate is None else size * 8 / self._rate
