"""CoDel, controlled delay: drops from the head of a queue that stands (RFC 8289, section 5)."""

import math

from testbed.links.queue import FULL_FRAME

_RECENT = 16  # intervals within which a new spell of dropping goes on from the last one's pace


class CoDel:
    """Decides packet by packet, as each comes to be sent, whether to drop it instead.

    While packets have waited less than `target`, nothing is dropped. Once they have waited longer
    for a whole `interval`, one is dropped, and from then on the n-th interval/√n after the one
    before, until a packet has waited less. Times in seconds.
    """

    def __init__(self, target: float, interval: float) -> None:
        self._target = target
        self._interval = interval
        self._above_until: float | None = None  # from then on, waiting too long is a standing queue
        self._dropping = False
        self._next = 0.0
        self._count = 0
        self._count_before = 0  # when the last spell of dropping began

    def drops(self, now: float, waited: float, backlog: int) -> bool:
        """Whether to drop the packet at the head; `backlog` bytes wait behind it."""
        standing = self._stands(now, waited, backlog)
        if self._dropping:
            if not standing:
                self._dropping = False
            elif now >= self._next:
                self._count += 1
                self._next += self._interval / math.sqrt(self._count)
                return True
            return False
        if not standing:
            return False
        self._dropping = True
        pace = self._count - self._count_before
        recent = now - self._next < _RECENT * self._interval
        self._count = pace if pace > 1 and recent else 1
        self._count_before = self._count
        self._next = now + self._interval / math.sqrt(self._count)
        return True

    def _stands(self, now: float, waited: float, backlog: int) -> bool:
        if waited < self._target or backlog <= FULL_FRAME:
            self._above_until = None
            return False
        if self._above_until is None:
            self._above_until = now + self._interval
            return False
        return now >= self._above_until
