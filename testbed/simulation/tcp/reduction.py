"""Proportional rate reduction: what may be sent during a recovery (RFC 6937; Linux's PRR)."""

from __future__ import annotations

from testbed.simulation.tcp.congestion_window import CongestionWindow


class Reduction:
    """Moves the window from its size before a congestion event to the threshold."""

    __slots__ = ("_before", "_delivered", "_window", "sent")

    def __init__(self, window: CongestionWindow) -> None:
        self._window = window
        self._before = 0
        self._delivered = 0
        self.sent = 0
        """Segments sent since the event."""

    def begin(self, threshold: int) -> None:
        """Begin at a congestion event, which sets the threshold to `threshold`."""
        self._before = self._window.segments
        self._delivered = 0
        self.sent = 0
        self._window.credit = 0
        self._window.threshold = threshold

    def apply(self, delivered: int, under_way: int, *, advanced_without_loss: bool) -> None:
        """Set the window after an acknowledgement that shows `delivered` segments delivered."""
        if delivered <= 0 or not self._before:
            return
        window = self._window
        self._delivered += delivered
        room = window.threshold - under_way
        if room < 0:
            allowed = -(-window.threshold * self._delivered // self._before) - self.sent
        else:
            allowed = max(self._delivered - self.sent, delivered)
            if advanced_without_loss:
                allowed += 1
            allowed = min(room, allowed)
        # The first retransmission leaves at once.
        window.segments = under_way + max(allowed, 0 if self.sent else 1)
