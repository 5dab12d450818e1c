"""The congestion window: slow start (RFC 5681), validation (RFC 2861, RFC 7661), idle restart.

The window grows only while it limits the sender, as Linux's tcp_cwnd_validate decides: it limits if
data had to wait for it in this round trip, or in slow start if more than half of it was used.
"""

from __future__ import annotations

UNLIMITED = 1 << 31


class CongestionWindow:
    """A window and its slow-start threshold, both in segments."""

    __slots__ = (
        "_initial",
        "_limited",
        "_most_out",
        "_stamp",
        "_usage_end",
        "_used",
        "credit",
        "segments",
        "threshold",
    )

    def __init__(self, initial: int) -> None:
        self.segments = initial
        self.threshold = UNLIMITED
        self.credit = 0
        """Acknowledged segments that do not make a whole step of growth yet."""
        self._initial = initial
        self._limited = False
        self._most_out = 0
        self._usage_end = 0
        self._used = 0
        self._stamp = 0.0

    @property
    def in_slow_start(self) -> bool:
        """True below the slow-start threshold."""
        return self.segments < self.threshold

    @property
    def restart_threshold(self) -> int:
        """The threshold after an idle time: at least three quarters of the window."""
        return max(self.threshold, (self.segments >> 1) + (self.segments >> 2))

    @property
    def limits(self) -> bool:
        """True if the window, not the application, limits what is sent."""
        if self._limited:
            return True
        return self.segments < self.threshold and self.segments < 2 * self._most_out

    def slow_start(self, acknowledged: int) -> int:
        """Grow by the segments acknowledged, at most to the threshold; return those left over."""
        grown = min(self.segments + acknowledged, self.threshold)
        left = acknowledged - (grown - self.segments)
        self.segments = grown
        return left

    def increase(self, per_step: int, acknowledged: int) -> None:
        """Grow by one segment for each `per_step` acknowledged."""
        if self.credit >= per_step:
            self.credit = 0
            self.segments += 1
        self.credit += acknowledged
        if self.credit >= per_step:
            steps = self.credit // per_step
            self.credit -= steps * per_step
            self.segments += steps

    def set(self, now: float, segments: int) -> None:
        """Set the window."""
        self.segments = segments
        self._stamp = now

    def validate(
        self,
        now: float,
        rto: float,
        *,
        limited: bool,
        out: int,
        acknowledged: int,
        next_sequence: int,
        may_shrink: bool,
    ) -> None:
        """Note after sending if the window limits the sender; shrink one that is never filled.

        limited: data waits for the window. out: segments sent and not acknowledged. may_shrink:
        False during recovery, or without slow start after idle times.
        """
        if (
            acknowledged >= self._usage_end
            or limited
            or (not self._limited and out > self._most_out)
        ):
            self._limited = limited
            self._most_out = out
            self._usage_end = next_sequence
        if self.limits:
            self._used = 0
            self._stamp = now
            return
        self._used = max(self._used, out)
        if may_shrink and now - self._stamp >= rto:
            used = max(self._used, self._initial)
            if used < self.segments:
                self.threshold = self.restart_threshold
                self.segments = (self.segments + used) >> 1
            self._used = 0
            self._stamp = now

    def restart(self, now: float, idle: float, rto: float) -> None:
        """Halve the window once per time-out of an idle time, down to the initial window."""
        self.threshold = self.restart_threshold
        floor = min(self._initial, self.segments)
        segments = self.segments
        idle -= rto
        while idle > 0 and segments > floor:
            segments >>= 1
            idle -= rto
        self.segments = max(segments, floor)
        self._stamp = now
        self._used = 0
