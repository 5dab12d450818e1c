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


NO_OVERHEAD = HostOverhead(0.0, 0.0, "none")
OVERHEAD = HostOverhead(
    0.30e-3,
    0.40e-3,
    "median over 12 methods on one link, 5 and 20 Mbit/s, 10 ms: AMD EPYC (Zen 4), two processors, "
    "relay, captures on",
)
"""That of simulated runs: what emulation adds here, relay and captures included."""
