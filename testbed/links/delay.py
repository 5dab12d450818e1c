"""Propagation delay with jitter; packets stay in order except those that reordering picks."""

from bisect import insort
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from testbed.links.correlated import CorrelatedUniform
from testbed.links.jitter import Jitter, as_jitter
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.packet import Packet

Overtakes = Callable[[int], bool]
"""Tells from the number of a packet whether it overtakes."""


class DelayLine:
    """Holds each packet for its delay and jitter, and keeps the order of packets.

    A packet that would arrive before its predecessor arrives together with it instead. So packets
    closer together than the jitter are held a little longer than its distribution says. A packet
    for whose number `overtakes` is true is not held, and overtakes those that are. Times are in
    seconds; `delay` is one-way, a bare number as `jitter` is the uniform distribution's spread.
    """

    def __init__(
        self, key: RandomKey, delay: float, jitter: float | Jitter, overtakes: Overtakes | None
    ) -> None:
        self._uniform = KeyedUniform(key, "jitter")
        self._correlated = CorrelatedUniform(self._uniform)
        self.change(delay, jitter, overtakes)
        self._held: deque[tuple[float, Packet]] = deque()
        self._last_due = 0.0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def shortest(self) -> float:
        """The shortest time that a packet can be held, in seconds."""
        return 0.0 if self._overtakes else self._jitter.shortest(self._delay)

    def push(self, now: float, packet: Packet) -> None:
        """Hold a packet that enters at `now` (seconds)."""
        if self._overtakes is not None and self._overtakes(packet.number):
            insort(self._held, (now, packet), key=itemgetter(0))
            return
        self._last_due = max(self._last_due, now + self._hold(packet.number))
        self._held.append((self._last_due, packet))

    def next_due(self) -> float | None:
        """Return the time at which the first held packet is due, or None if none is held."""
        return self._held[0][0] if self._held else None

    def pop(self) -> tuple[float, Packet]:
        """Take the first held packet, with the time at which it is due."""
        return self._held.popleft()

    def change(self, delay: float, jitter: float | Jitter, overtakes: Overtakes | None) -> None:
        """Use other settings for packets that enter from now on; those held keep their times."""
        self._delay, self._jitter, self._overtakes = delay, as_jitter(jitter), overtakes

    def _hold(self, number: int) -> float:
        jitter = self._jitter
        if jitter.none:
            return self._delay
        if jitter.correlation > 0:
            return jitter.hold(self._delay, self._correlated(number, jitter.correlation))
        return jitter.hold(self._delay, self._uniform(number))
