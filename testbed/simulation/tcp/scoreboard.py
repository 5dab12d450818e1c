"""The segments under way: acknowledged, SACKed, lost, retransmitted (RFC 2018, RFC 6675, RFC 8985).

Counts are of segments, as Linux's packets_out, sacked_out, lost_out and retrans_out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from testbed.simulation.tcp.flight import Flight
from testbed.simulation.tcp.rack import Rack
from testbed.simulation.tcp.segment import Block
from testbed.simulation.tcp.undo import Undo

_MOST_REORDERING = 300  # segments, net.ipv4.tcp_max_reordering
FIRST_REORDERING = 3  # segments, net.ipv4.tcp_reordering
_SLACK = 1e-9  # seconds, of floating-point times that are equal in fact


class Scoreboard:
    """The segments under way in their order, and what the acknowledgement in hand has shown."""

    __slots__ = (
        "_duplicates",
        "_highest_before",
        "_mss",
        "_rack",
        "_undo",
        "acknowledged",
        "data_sacked",
        "delivered",
        "delivered_before",
        "duplicate",
        "duplicate_of_probe",
        "first_sacked",
        "first_sent",
        "flights",
        "freed",
        "highest_sacked",
        "last_sacked",
        "last_sent",
        "lost",
        "original_delivered",
        "reordering",
        "resent",
        "resent_acknowledged",
        "sacked",
        "total_lost",
        "total_resent",
        "transmissions",
    )

    def __init__(self, mss: int, rack: Rack, undo: Undo) -> None:
        self._mss = mss
        self._rack = rack
        self._undo = undo
        self.flights: deque[Flight] = deque()
        self.sacked = 0
        self.lost = 0
        self.resent = 0
        self.delivered = 0
        self.total_lost = 0
        self.total_resent = 0
        self.transmissions = 0
        self.reordering = FIRST_REORDERING
        """The distance in segments by which the path is known to reorder."""
        self.highest_sacked = 0
        """The end of the highest segment that was ever SACKed or acknowledged."""
        self._duplicates = 0
        self.begin()

    def begin(self) -> None:
        """Forget what the acknowledgement before has shown."""
        self.acknowledged = False
        """True if segments were acknowledged cumulatively."""
        self.data_sacked = False
        self.duplicate = False
        """True for a D-SACK of a retransmission."""
        self.duplicate_of_probe = False
        self.original_delivered = False
        """True if a segment was delivered that was never retransmitted, of before the recovery."""
        self.resent_acknowledged = False
        self.first_sent = self.last_sent = -1.0
        """The times of the first and last segment acknowledged that was sent once; -1 if none."""
        self.first_sacked = self.last_sacked = -1.0
        """The same of segments SACKed."""
        self.delivered_before = 0
        self._highest_before = self.highest_sacked
        self.freed = 0
        """Bytes of the send buffer that are free now."""

    @property
    def under_way(self) -> int:
        """The number of segments in the network, as RFC 6675's pipe."""
        return len(self.flights) - self.sacked - self.lost + self.resent

    def acknowledge(self, now: float, acknowledgement: int, recovery_end: int) -> None:
        """Remove what is acknowledged cumulatively.

        recovery_end: the next new byte at the beginning of the recovery under way.
        """
        flights = self.flights
        first: Flight | None = None
        last: Flight | None = None
        freed = 0
        while flights and flights[0].end <= acknowledgement:
            flight = flights.popleft()
            self.acknowledged = True
            self.delivered_before = flight.delivered
            freed += flight.memory
            if flight.lost:
                self.lost -= 1
            if flight.ever_resent or flight.sacked:
                self._remove_ambiguous(now, flight)
                continue
            self.delivered += 1
            last = flight
            if first is None:
                first = flight
        self.freed = freed
        if first is not None and last is not None:
            self.first_sent, self.last_sent = first.sent_at, last.sent_at
            if first.end <= recovery_end:
                self.original_delivered = True
            self._rack.delivered(now, last)  # of those sent once it was sent last
            if first.start < self._highest_before:
                self.reorder(first.start)
        self.highest_sacked = max(self.highest_sacked, acknowledgement)

    def sack(
        self,
        now: float,
        acknowledgement: int,
        acknowledged: int,
        blocks: Sequence[Block],
        *,
        recovery_end: int,
        probe_end: int | None,
    ) -> None:
        """Take in SACK blocks and a D-SACK.

        acknowledged: the first unacknowledged byte before this acknowledgement. probe_end: of a
        tail loss probe under way.
        """
        start, end = blocks[0]
        duplicate: Block | None = None
        if start < acknowledgement or (
            len(blocks) > 1 and blocks[1][0] <= start and end <= blocks[1][1]
        ):
            duplicate = blocks[0]
            blocks = blocks[1:]
            self._take_duplicate(duplicate, acknowledged, probe_end)
        reordered = self.highest_sacked
        for start, end in blocks:
            if end <= acknowledged:
                continue
            for flight in self.flights:
                if flight.start >= end:
                    break
                if flight.sacked or flight.start < start or flight.end > end:
                    continue
                reordered = min(reordered, self._sack_one(now, flight, recovery_end))
        if duplicate is not None and self.duplicate:
            self._answer_retransmissions(duplicate)
        self.highest_sacked = max([self.highest_sacked, *(end for _, end in blocks)])
        if reordered < self._highest_before:
            self.reorder(reordered)

    def mark_lost(self, flight: Flight) -> None:
        """Take a segment for lost, or its retransmission."""
        if flight.lost:
            if flight.resent:
                flight.resent = False
                self.resent -= 1
                self.total_lost += 1
        else:
            flight.lost = True
            self.lost += 1
            self.total_lost += 1

    def unmark_lost(self) -> None:
        """Take no segment for lost any more."""
        for flight in self.flights:
            flight.lost = False
        self.lost = 0

    def detect_losses(self, now: float, *, recovering: bool) -> float:
        """Mark what RACK takes for lost; return the seconds until it has to look again, or 0."""
        rack = self._rack
        window = rack.window(recovering=recovering, enough_sacked=self.sacked >= self.reordering)
        again = 0.0
        for flight in self.flights:
            if flight.sacked or (flight.lost and not flight.resent):
                continue
            remaining = rack.remaining(now, flight, window)
            if remaining is None:
                continue
            if remaining <= _SLACK:
                self.mark_lost(flight)
            elif remaining > again:
                again = remaining
        return again

    def mark_timed_out(self, now: float) -> None:
        """Mark the first segment lost, and all those older than the latest round trip."""
        for flight in self.flights:
            if flight.sacked:
                continue
            if flight is self.flights[0] or self._rack.age_left(now, flight) <= _SLACK:
                self.mark_lost(flight)

    def _remove_ambiguous(self, now: float, flight: Flight) -> None:
        """Remove a segment whose round trip is not known: SACKed before, or retransmitted."""
        if flight.resent:
            self.resent -= 1
        if flight.ever_resent:
            self.resent_acknowledged = True
        if flight.sacked:
            self.sacked -= 1
        else:
            self.delivered += 1
            self._rack.delivered(now, flight)

    def _sack_one(self, now: float, flight: Flight, recovery_end: int) -> int:
        """Mark a segment SACKed; return its start if it arrived late, else the highest SACK."""
        reordered = self.highest_sacked
        self._rack.delivered(now, flight)
        if flight.resent:
            if flight.lost:
                flight.lost = flight.resent = False
                self.lost -= 1
                self.resent -= 1
        else:
            if not flight.ever_resent:
                reordered = min(reordered, flight.start)
                if flight.end <= recovery_end:
                    self.original_delivered = True
                if self.first_sacked < 0:
                    self.first_sacked = flight.sent_at
                self.last_sacked = flight.sent_at
            if flight.lost:
                flight.lost = False
                self.lost -= 1
        flight.sacked = True
        self.sacked += 1
        self.delivered += 1
        self.data_sacked = True
        self.delivered_before = flight.delivered
        return reordered

    def _take_duplicate(self, block: Block, acknowledged: int, probe_end: int | None) -> None:
        start, end = block
        segments = max(1, -(-(end - start) // self._mss))
        of_probe = segments == 1 and probe_end == end
        self._duplicates += segments
        if self._duplicates > self.total_resent:
            return  # the network has duplicated it
        self.duplicate = True
        self.duplicate_of_probe = of_probe
        if self._rack.reordering_seen and not of_probe:
            self._rack.duplicate_seen = True
        if end <= acknowledged:
            self._undo.answered(end, segments)

    def _answer_retransmissions(self, duplicate: Block) -> None:
        """Take in a D-SACK of segments that are not acknowledged cumulatively yet."""
        start, end = duplicate
        for flight in self.flights:
            if flight.ever_resent and start <= flight.start and flight.end <= end:
                self._undo.answered(flight.end, 1)
                if flight.resent:
                    flight.resent = False
                    self.resent -= 1

    def reorder(self, start: int) -> None:
        """Take in that the segment from `start` on arrived after the highest SACK."""
        if start >= self.highest_sacked:
            return
        distance = -(-(self.highest_sacked - start) // self._mss)
        if distance > self.reordering:
            self.reordering = min(distance, _MOST_REORDERING)
        self._rack.reordering_seen = True
