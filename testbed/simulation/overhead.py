"""The time that hosts add to each message, beside links and TCP."""

from __future__ import annotations

from typing import NamedTuple


class HostOverhead(NamedTuple):
    """Seconds per message, and their source."""

    send: float
    """Between the call that sends a message and its first segment."""
    receive: float
    """Between the arrival of its last segment and the call that returns it."""
    source: str


NO_OVERHEAD = HostOverhead(0.0, 0.0, "not fitted yet")
OVERHEAD = NO_OVERHEAD
"""That of simulated runs."""
