"""Packet counts of links: by the wires, and by the hosts around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from testbed.links.wire_counters import DirectionCounters, WireCounters
from testbed.results.rows import WireBytes


@dataclass(frozen=True)
class CounterSnapshot:
    """The counters of all links, and the ns of testbed.clock between which they were read.

    A frame that was captured meanwhile may be in them or not.
    """

    since: int
    until: int
    wires: dict[str, WireCounters]


@dataclass(frozen=True)
class LinkPackets:
    """Packet counts of one link, from all sources."""

    name: str
    wire: WireCounters
    sent: tuple[int, int]
    """By the hosts, up and down."""
    arrived: tuple[int, int]
    """At the hosts, up and down."""

    def directions(self) -> Iterator[tuple[str, DirectionCounters, int, int]]:
        """Yield each direction: its name in reasons, the wire's counters, sent, arrived."""
        for direction, counters, sent, arrived in zip(
            ("up", "down"), both(self.wire), self.sent, self.arrived, strict=True
        ):
            yield f"link {self.name} {direction}", counters, sent, arrived


class SharedLinkPackets(NamedTuple):
    """Packets before and behind a host where plain links meet a shared one."""

    host: str
    link: str
    came: int
    """Up: sent by devices."""
    taken_in: int
    """Up: received by the link."""
    let_out: int
    """Down: forwarded by the link."""
    went_on: int
    """Down: arrived at devices."""


def both(wire: WireCounters) -> tuple[DirectionCounters, DirectionCounters]:
    """Return the counters of both directions of a wire: up, down."""
    return wire.up, wire.down


def traffic(before: WireCounters, after: WireCounters) -> WireBytes:
    """Return the traffic that entered a link between two readings of its counters."""
    return WireBytes(
        up_bytes=after.up.received_bytes - before.up.received_bytes,
        up_packets=after.up.received_packets - before.up.received_packets,
        up_dropped=after.up.dropped_packets - before.up.dropped_packets,
        down_bytes=after.down.received_bytes - before.down.received_bytes,
        down_packets=after.down.received_packets - before.down.received_packets,
        down_dropped=after.down.dropped_packets - before.down.dropped_packets,
    )
