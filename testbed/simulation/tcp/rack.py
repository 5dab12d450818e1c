"""RACK: a segment is lost if one sent later was delivered, a reordering window ago (RFC 8985).

As Linux has it with net.ipv4.tcp_recovery = 1. The window is zero while no reordering was seen, in
recovery and once three segments are SACKed; otherwise a quarter of the shortest round trip, more
after each round trip with a D-SACK.
"""

from __future__ import annotations

from testbed.simulation.tcp.flight import Flight
from testbed.simulation.tcp.rtt import RttEstimator

_MOST_STEPS = 255
_PERSIST = 16  # recoveries for which a larger window is kept


class Rack:
    """The latest segment delivered, by the time it was sent, and the reordering window."""

    __slots__ = (
        "_adjusted",
        "_order",
        "_persist",
        "_rtt",
        "_steps",
        "advanced",
        "duplicate_seen",
        "reordering_seen",
        "rtt",
    )

    def __init__(self, rtt: RttEstimator) -> None:
        self._rtt = rtt
        self._order = -1
        self.rtt = 0.0
        """The round trip of the latest segment delivered."""
        self.advanced = False
        """True if segments were delivered since losses were looked for."""
        self.reordering_seen = False
        self.duplicate_seen = False
        """True if a D-SACK came that does not belong to a tail loss probe."""
        self._steps = 1
        self._persist = 0
        self._adjusted = 0

    def delivered(self, now: float, flight: Flight) -> None:
        """Take in that a segment was delivered."""
        rtt = now - flight.sent_at
        if flight.ever_resent and rtt < self._rtt.minimum:
            return  # the original has arrived, not the retransmission
        self.advanced = True
        self.rtt = rtt
        self._order = max(self._order, flight.order)

    def window(self, *, recovering: bool, enough_sacked: bool) -> float:
        """Return the reordering window in seconds."""
        if not self.reordering_seen and (recovering or enough_sacked):
            return 0.0
        return min(self._rtt.minimum / 4 * self._steps, self._rtt.smoothed)

    def remaining(self, now: float, flight: Flight, window: float) -> float | None:
        """Return the seconds until a segment counts as lost, at most 0 if it does now.

        None if nothing sent later was delivered.
        """
        if self._order > flight.order:
            return self.rtt + window - (now - flight.sent_at)
        return None

    def age_left(self, now: float, flight: Flight) -> float:
        """Return the seconds until a segment is older than the latest round trip."""
        return self.rtt - (now - flight.sent_at)

    def adjust(self, delivered_before: int, delivered: int) -> None:
        """Widen the window once per round trip in which a D-SACK came.

        delivered_before: segments delivered when the segment was sent that is acknowledged now.
        """
        if delivered_before < self._adjusted:
            self.duplicate_seen = False
        if self.duplicate_seen:
            self._steps = min(_MOST_STEPS, self._steps + 1)
            self.duplicate_seen = False
            self._adjusted = delivered
            self._persist = _PERSIST
        elif not self._persist:
            self._steps = 1

    def recovered(self, *, spurious: bool) -> None:
        """Take in the end of a recovery; `spurious` if nothing had been lost."""
        if spurious:
            self._persist = min(_PERSIST, self._persist + 1)
        elif self._persist:
            self._persist -= 1
