"""A host in virtual time: its addresses, routes and receivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed.simulation.routes import Routes
from testbed.topology.interfaces import Interface

Carry = Callable[[bytes], None]
"""Takes a frame into one direction of a link."""


@dataclass(slots=True, eq=False)
class Host:
    """The state and counts of a host; the network moves its frames."""

    name: str
    interfaces: Sequence[Interface]
    routes: Routes
    receivers: dict[int, Callable[[Any], None]] = field(default_factory=dict)
    """The receiver of each connection's segments."""
    sent: Counter[str] = field(default_factory=Counter)
    """Packets that it sent on each of its links."""
    arrived: Counter[str] = field(default_factory=Counter)
    """Packets that reached it from each of its links."""
    refused: int = 0
    """Frames that it dropped because a checksum was wrong."""
    ways: dict[bytes, Carry] = field(default_factory=dict)
    """The way of frames to an address, from the routes; forgotten when these change."""
    addresses: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.addresses = frozenset(each.address.ip.packed for each in self.interfaces)
