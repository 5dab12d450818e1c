"""Counters of one direction of a link."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class PacketCounters:
    """Counts each packet when it arrives and when it leaves or is dropped; bytes are whole frames.

    Invariant: received + duplicated = forwarded + dropped + packets in flight.
    """

    received_packets: int = 0
    received_bytes: int = 0
    forwarded_packets: int = 0
    forwarded_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Packets dropped, by reason."""
    duplicated: int = 0
    """Copies that the link made."""
    corrupted: int = 0
    """Packets in which the link changed a bit."""

    def __add__(self, other: "PacketCounters") -> "PacketCounters":
        return PacketCounters(
            self.received_packets + other.received_packets,
            self.received_bytes + other.received_bytes,
            self.forwarded_packets + other.forwarded_packets,
            self.forwarded_bytes + other.forwarded_bytes,
            self.dropped + other.dropped,
            self.duplicated + other.duplicated,
            self.corrupted + other.corrupted,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return all counters by name, for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
