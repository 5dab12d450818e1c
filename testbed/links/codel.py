"""CoDel, controlled delay: drops from the head of a queue that does not drain (RFC 8289)."""

import math

from testbed.links.queue import FULL_FRAME

_RECENT = 16
"""Intervals: a dropping state that begins this soon after the last one starts at its drop rate."""


class CoDel:
    """Decides for each packet at the head of a queue whether it is dropped instead of sent.

    While packets have waited less than `target`, nothing is dropped. Once they have waited longer
    for a whole `interval`, one is dropped. The n-th drop follows the one before after interval/√n,
    until a packet has waited less than `target`. Times are in seconds.
    """

    def __init__(self, target: float, interval: float) -> None:
        self._target = target
        self._interval = interval
        # When packets will have waited too long for a whole interval; None while they do not.
        self._above_until: float | None = None
        self._dropping = False
        self._next = 0.0
        self._count = 0
        self._count_before = 0  # the count when the last dropping state began

    def drops(self, now: float, waited: float, backlog: int) -> bool:
        """Return True to drop the packet at the head, behind which `backlog` bytes wait."""
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
