"""Propagation delay with jitter that keeps order."""

from collections import deque

from testbed.links.jitter import Jitter, as_jitter
from testbed.links.keyed import KeyedUniform
from testbed.links.packet import Packet


class DelayLine:
    """Holds each packet for a time by the law of its jitter, and never lets one overtake.

    A packet that would arrive before its predecessor arrives together with it instead, so
    packets closer together than the jitter wait a little longer than the law says.
    """

    def __init__(self, uniform: KeyedUniform, delay: float, jitter: float | Jitter) -> None:
        self._uniform = uniform
        self.change(delay, jitter)
        self._held: deque[tuple[float, Packet]] = deque()
        self._last_due = 0.0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def shortest(self) -> float:
        """The least time that a packet can be held, seconds."""
        return self._jitter.shortest(self._delay)

    def push(self, now: float, packet: Packet) -> None:
        """Hold a packet that enters at `now` (seconds)."""
        hold = self._delay
        if self._jitter.spread > 0:
            hold = self._jitter.hold(self._delay, self._uniform(packet.number))
        self._last_due = max(self._last_due, now + hold)
        self._held.append((self._last_due, packet))

    def next_due(self) -> float | None:
        """When the first held packet is due, or None if none is held."""
        return self._held[0][0] if self._held else None

    def pop(self) -> tuple[float, Packet]:
        """Take the first held packet, with the time at which it is due."""
        return self._held.popleft()

    def change(self, delay: float, jitter: float | Jitter) -> None:
        """Hold packets that enter from now on for another time; those held keep theirs."""
        self._delay, self._jitter = delay, as_jitter(jitter)
