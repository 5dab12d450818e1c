"""Propagation delay with jitter that keeps order."""

from collections import deque

from testbed.links.keyed import KeyedUniform
from testbed.links.packet import Packet


class DelayLine:
    """Holds each packet for a time uniform on delay ± jitter, and never lets one overtake.

    A packet that would arrive before its predecessor arrives together with it instead, so
    packets closer together than the jitter wait a little longer than the mean.
    """

    def __init__(self, uniform: KeyedUniform, delay: float, jitter: float) -> None:
        self._uniform = uniform
        self._delay = delay
        self._jitter = jitter
        self._held: deque[tuple[float, Packet]] = deque()
        self._last_due = 0.0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def shortest(self) -> float:
        """The least time that a packet can be held, seconds."""
        return self._delay - self._jitter

    def push(self, now: float, packet: Packet) -> None:
        """Hold a packet that enters at `now` (seconds)."""
        hold = self._delay
        if self._jitter > 0:
            hold += self._jitter * (2 * self._uniform(packet.number) - 1)
        self._last_due = max(self._last_due, now + hold)
        self._held.append((self._last_due, packet))

    def next_due(self) -> float | None:
        """When the first held packet is due, or None if none is held."""
        return self._held[0][0] if self._held else None

    def pop(self) -> tuple[float, Packet]:
        """Take the first held packet, with the time at which it is due."""
        return self._held.popleft()

    def change(self, delay: float, jitter: float) -> None:
        """Hold packets that enter from now on for another time; those held keep theirs."""
        self._delay, self._jitter = delay, jitter
