"""The books of one direction of a link."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class PacketCounters:
    """Every packet is counted once on arrival and once on its way out; bytes are whole frames.

    received + duplicated = forwarded + dropped + those under way, always.
    """

    received_packets: int = 0
    received_bytes: int = 0
    forwarded_packets: int = 0
    forwarded_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Packets, by the reason for which they were dropped."""
    duplicated: int = 0
    """Copies that the link made."""
    corrupted: int = 0
    """Packets of which it changed a bit."""

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
        """All of it, for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
