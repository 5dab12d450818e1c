"""The times at which a receiver acknowledges (RFC 1122, 4.2.3.2, as Linux does it).

Linux acknowledges at once while it counts down `quick` acknowledgements at the beginning, after a
gap and after a duplicate; every second full segment; and, unless the connection is in ping-pong
mode, small segments as soon as they are read. Else it waits for `ato`, which follows the time
between segments (tcp_event_data_recv), at most for the smoothed round trip or 40 ms, whichever is
longer. Data that is sent before that carries the acknowledgement. Ping-pong mode begins when data
is sent within `ato` of data received, and ends when a delayed acknowledgement was not piggybacked.
"""

from __future__ import annotations

from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rtt import RttEstimator

_ATO_MIN = 0.04  # seconds, Linux's TCP_ATO_MIN and TCP_DELACK_MIN
_DELAY_MAX = 0.2  # TCP_DELACK_MAX
_MOST_QUICK = 16
_MSS_HINT, _LEAST_MSS = 536, 88  # bytes
_TCP_HEADER, _TCP_HEADER_WITH_TIMESTAMPS = 20, 32
_PINGPONG_THRESHOLD = 1  # net.ipv4.tcp_pingpong_thresh
_PINGPONG_MAX = 255
_IMMEDIATE_DUPLICATES = 3
_MOST_COMPRESSED = 44  # net.ipv4.tcp_comp_sack_nr
_COMPRESSION = 0.001  # seconds, net.ipv4.tcp_comp_sack_delay_ns
_COMPRESSION_SHARE = 0.05  # of a round trip


class Acknowledger:
    """The acknowledgements that one end owes; all methods take the time in seconds."""

    __slots__ = (
        "_advertised_mss",
        "_ato",
        "_compressed",
        "_compressed_at",
        "_duplicates",
        "_duplicates_of",
        "_last_received",
        "_last_size",
        "_pingpong",
        "_pushed",
        "_rtt",
        "_timer",
        "compressed_due",
        "due_at",
        "mss",
        "now",
        "owed",
        "quick",
    )

    def __init__(self, advertised_mss: int, timer: KernelTimer, rtt: RttEstimator) -> None:
        self._advertised_mss = advertised_mss
        self._timer = timer
        self._rtt = rtt
        self.mss = _MSS_HINT
        """The size of full segments, as far as it was seen."""
        self.owed = False
        """True if something was received that no acknowledgement covers."""
        self.now = False
        """True if an acknowledgement has to be sent at once."""
        self.quick = 0
        """Acknowledgements that are still sent at once."""
        self.due_at: float | None = None
        """The time at which a delayed acknowledgement is sent."""
        self.compressed_due: float | None = None
        """The time at which one is sent for several segments that arrived out of order."""
        self._ato = 0.0
        self._pingpong = 0
        self._pushed = 0
        self._last_received = 0
        self._last_size = 0
        self._duplicates = 0
        self._duplicates_of = -1
        self._compressed = 0

    def open(self, now: float) -> None:
        """Begin after the handshake."""
        self._last_received = self._timer.ticks(now)

    def received(self, now: float, length: int, window: int, *, push: bool) -> None:
        """Take in a data segment that arrived in order; `window` is the one advertised."""
        self.owed = True
        self._measure(length, push=push)
        ticks = self._timer.ticks(now)
        if not self._ato:
            self._begin_quick(window)
            self._ato = _ATO_MIN
        else:
            gap = (ticks - self._last_received) * self._timer.tick
            if gap <= _ATO_MIN / 2:
                self._ato = self._ato / 2 + _ATO_MIN / 2
            elif gap < self._ato:
                self._ato = min(self._ato / 2 + gap, self._rtt.rto)
            elif gap > self._rtt.rto:
                self._begin_quick(window)
        self._last_received = ticks

    def received_duplicate(self, window: int) -> None:
        """Take in data that had arrived before: acknowledge at once, and quickly from now on."""
        self._begin_quick(window)
        self._pingpong = 0
        self._ato = _ATO_MIN
        self.owed = True

    def wants(
        self, now: float, unacknowledged: int, expected: int, *, gap: bool, with_gaps: bool
    ) -> bool:
        """Return True if an acknowledgement has to be sent now; else set a timer for it.

        unacknowledged: bytes received in order. expected: the next byte. gap: data is held behind a
        gap. with_gaps: this segment did not arrive in the simplest way.
        """
        if unacknowledged > self.mss or self.now or (self.quick and not self._pingpong_mode):
            return True
        if not (gap and with_gaps):
            return self._delay(now)
        if self._compressed >= _MOST_COMPRESSED:
            return True
        if self._duplicates_of != expected:
            self._duplicates_of = expected
            self._duplicates = 0
        if self._duplicates < _IMMEDIATE_DUPLICATES:
            self._duplicates += 1
            return True
        self._compressed += 1
        if self.compressed_due is None:
            self.compressed_due = now + min(_COMPRESSION, self._rtt.smoothed * _COMPRESSION_SHARE)
        return False

    def wants_after_reading(self, unacknowledged: int) -> bool:
        """Return True if an acknowledgement has to be sent after the application has read all."""
        return self.owed and (
            unacknowledged > self.mss
            or self._pushed > 1
            or (self._pushed == 1 and not self._pingpong_mode)
        )

    def sent_data(self, now: float) -> None:
        """Take in that data is sent: it may answer what was received last."""
        if (self._timer.ticks(now) - self._last_received) * self._timer.tick < self._ato:
            self._pingpong = min(self._pingpong + 1, _PINGPONG_MAX)

    def sent(self) -> None:
        """Take in that a segment with an acknowledgement is sent."""
        if self.quick and self.owed:
            self.quick -= 1
            if not self.quick:
                self._ato = _ATO_MIN
        self.owed = self.now = False
        self._pushed = 0
        self.due_at = None
        self.compressed_due = None
        self._compressed = 0

    def expired(self) -> None:
        """Take in that a delayed acknowledgement was not piggybacked."""
        if self._pingpong_mode:
            self._pingpong = 0
            self._ato = _ATO_MIN
        else:
            self._ato = min(2 * self._ato, self._rtt.rto)

    @property
    def _pingpong_mode(self) -> bool:
        return self._pingpong >= _PINGPONG_THRESHOLD

    def _begin_quick(self, window: int) -> None:
        self.quick = max(self.quick, min(window // (2 * self.mss) or 2, _MOST_QUICK))

    def _measure(self, length: int, *, push: bool) -> None:
        """Guess the peer's full segment (tcp_measure_rcv_mss)."""
        last, self._last_size = self._last_size, 0
        if length >= self.mss:
            if length == self.mss and push:
                self._pushed = max(self._pushed, 1)
            self.mss = min(length, self._advertised_mss)
            return
        size = length + _TCP_HEADER_WITH_TIMESTAMPS
        if size >= _MSS_HINT + _TCP_HEADER or (size >= _LEAST_MSS + _TCP_HEADER and not push):
            self._last_size = length
            if length == last:
                self.mss = length
                return
        self._pushed = min(self._pushed + 1, 2)

    def _delay(self, now: float) -> bool:
        """Set the timer of a delayed acknowledgement; return True if it is due already."""
        timer = self._timer
        seconds = self._ato
        if seconds > _ATO_MIN:
            longest = _DELAY_MAX if self._pingpong_mode or self._pushed else 0.5
            if self._rtt.smoothed:
                longest = min(longest, max(self._rtt.smoothed, _ATO_MIN))
            seconds = min(seconds, longest)
        seconds = min(seconds, _DELAY_MAX)
        due = timer.expiry(now, seconds)
        if self.due_at is not None:
            if self.due_at <= now + seconds / 4:
                return True
            due = min(due, self.due_at)
        self.due_at = due
        return False
