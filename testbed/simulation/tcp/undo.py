"""Undoing a reduction of the window that was spurious (RFC 3708, RFC 4015; Linux's tcp_may_undo).

A recovery was spurious if every retransmission was answered by a D-SACK, or if the acknowledgement
of a retransmitted segment echoes a timestamp of before the first retransmission.
"""

from __future__ import annotations

from testbed.simulation.tcp.congestion_window import CongestionWindow


class Undo:
    """The window to go back to, and the retransmissions that no D-SACK has answered yet."""

    __slots__ = (
        "_segments",
        "_threshold",
        "_window",
        "first_resent",
        "marker",
        "unanswered",
    )

    def __init__(self, window: CongestionWindow) -> None:
        self._window = window
        self.marker: int | None = None
        """The first byte that was unacknowledged when the reduction began; None without one."""
        self.unanswered = 0
        self.first_resent: int | None = None
        """The timestamp, in milliseconds, of the first retransmission of this recovery."""
        self._segments = 0
        self._threshold = 0

    def begin(self, acknowledged: int, resent: int) -> None:
        """Mark the beginning of a reduction, with retransmissions that are under way."""
        self.marker = acknowledged
        self.unanswered = resent or -1

    def remember(self) -> None:
        """Keep the window and the threshold as they are before a reduction."""
        self._segments = self._window.segments
        self._threshold = self._window.restart_threshold

    def forget(self) -> None:
        """Let an undo leave the window as it is."""
        self._threshold = 0

    def resent(self, timestamp: int) -> None:
        """Count a retransmission."""
        if self.first_resent is None:
            self.first_resent = timestamp
        self.unanswered = max(self.unanswered, 0) + 1

    def answered(self, end: int, segments: int) -> None:
        """Count a D-SACK of data that ends at `end`."""
        if self.marker is not None and self.unanswered > 0 and end > self.marker:
            self.unanswered = max(0, self.unanswered - segments)

    def delayed(self, echo: int) -> bool:
        """Return True if `echo` is of before the first retransmission, or if there was none."""
        return self.first_resent is None or 0 < echo < self.first_resent

    @property
    def all_answered(self) -> bool:
        """True if a D-SACK has answered every retransmission."""
        return self.marker is not None and self.unanswered == 0

    def possible(self, echo: int) -> bool:
        """Return True if the reduction was spurious."""
        return self.marker is not None and (self.unanswered == 0 or self.delayed(echo))

    def apply(self, now: float) -> None:
        """Restore window and threshold."""
        window = self._window
        if self._threshold:
            window.segments = max(window.segments, self._segments)
            window.threshold = max(window.threshold, self._threshold)
        window.set(now, window.segments)
        self.marker = None
