"""Packet and byte counts of a link in both directions, as every backend reports them."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lateness:
    """The delay of packets beyond their due time, in seconds: two quantiles and the maximum."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class DirectionCounters:
    """The packet and byte counts of one direction; bytes of whole Ethernet frames.

    received + duplicated = forwarded + dropped + queued. A count that the backend does not keep is
    None: netem counts all drops together, and does not measure lateness.
    """

    received_packets: int
    received_bytes: int
    forwarded_packets: int
    forwarded_bytes: int
    dropped_packets: int
    queued_packets: int
    duplicated_packets: int = 0
    dropped_by: Counter[str] | None = None
    """Dropped packets by reason: 'loss', 'queue', …"""
    socket_drops: int | None = None
    lateness: Lateness | None = None


@dataclass(frozen=True, slots=True)
class WireCounters:
    """The counters of both directions of a wire."""

    up: DirectionCounters
    down: DirectionCounters
