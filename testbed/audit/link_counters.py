"""Counters of all links, before and after generations that were decoded at the same time."""

from __future__ import annotations

import time

from testbed import clock
from testbed.audit.link_packets import (
    CounterSnapshot,
    LinkPackets,
    SharedLinkPackets,
    both,
    traffic,
)
from testbed.emulation.namespace import InterfaceCounters
from testbed.emulation.network import Network
from testbed.links.wire_counters import WireCounters
from testbed.results.rows import WireBytes
from testbed.topology.declarations import LinkDeclaration

_STILL = 0.1  # seconds without a packet
_PATIENCE = 5.0  # seconds to wait for that, beside the longest round trip of the links


class LinkAudit:
    """Reads the counters of links at their wires and hosts, before and after generations.

    links: the shaped ones.
    plain: those without a wire, from a device to a host that only forwards.
    """

    def __init__(
        self, network: Network, links: list[LinkDeclaration], plain: list[LinkDeclaration]
    ) -> None:
        self._network = network
        self._links = links
        self._plain = plain
        self._shared = [link for link in links if link.node1 in {each.node2 for each in plain}]
        self._patience = _PATIENCE + network.longest_round_trip()
        self._mark()

    def start(self) -> None:
        """Read the counters before generations start."""
        for wire in self._network.wires.values():
            wire.forget_lateness()
        self._mark()

    def settle(self) -> None:
        """Wait until the last acknowledgements have arrived, a few seconds at most."""
        deadline = clock.now() + self._patience
        before = self._take()
        while clock.now() < deadline:
            time.sleep(_STILL)
            after = self._take()
            queued = [
                direction.queued_packets for wire in after.values() for direction in both(wire)
            ]
            if not any(queued) and _packets(before) == _packets(after):
                return
            before = after

    def read(self) -> CounterSnapshot:
        """Return the counters of the shaped links as they are now."""
        since, wires = clock.now_ns(), self._take()
        return CounterSnapshot(since, clock.now_ns(), wires)

    def totals(self, after: CounterSnapshot) -> dict[str, WireBytes]:
        """Return the traffic that entered each shaped link between `start` and `after`."""
        before = self.before.wires
        return {name: traffic(before[name], wire) for name, wire in after.wires.items()}

    def plain_totals(self) -> dict[str, WireBytes]:
        """Return the traffic of each plain link since `start`; it drops nothing."""
        after = self._take_plain()
        return {name: _carried(self._plain_before[name], end) for name, end in after.items()}

    def packets(self) -> list[LinkPackets]:
        """Count the packets of each shaped link since it was built, at wire and hosts."""
        return [LinkPackets(link.name, *self._both_ends(link.name)) for link in self._links]

    def cells(self) -> list[SharedLinkPackets]:
        """Count packets since `start` at each host where plain links meet a shaped one."""
        return [
            SharedLinkPackets(link.node1, link.name, *up, *down)
            for link in self._shared
            for up, down in [self._both_sides(link)]
        ]

    def _both_sides(self, link: LinkDeclaration) -> tuple[tuple[int, int], tuple[int, int]]:
        """Count packets since `start` on both sides of a host where plain links meet a shared one.

        Up: sent by devices, taken in by the link. Down: let out by it, arrived at devices. As in
        _both_ends, a packet in between is no discrepancy.
        """
        before = self.before.wires[link.name]
        for _ in range(5):
            after = self._network.wires[link.name].counters()
            plain = self.plain_totals()
            mine = [plain[each.name] for each in self._plain if each.node2 == link.node1]
            up = (
                sum(each.up_packets for each in mine),
                after.up.received_packets - before.up.received_packets,
            )
            down = (
                after.down.forwarded_packets - before.down.forwarded_packets,
                sum(each.down_packets for each in mine),
            )
            if up[0] == up[1] and down[0] == down[1]:
                break
            time.sleep(0.02)
        return up, down

    def _both_ends(self, link: str) -> tuple[WireCounters, tuple[int, int], tuple[int, int]]:
        """Read the wire's counters, and packets sent and arrived at its hosts, each (up, down).

        They are read one after the other; a packet in between is no discrepancy.
        """
        for _ in range(5):
            counters = self._network.wires[link].counters()
            first, second = self._network.end_counters(link)
            sent = (first.tx_packets, second.tx_packets)
            arrived = (second.rx_packets, first.rx_packets)
            directions = both(counters)
            if sent == tuple(
                direction.received_packets for direction in directions
            ) and arrived == tuple(direction.forwarded_packets for direction in directions):
                break
            time.sleep(0.02)
        return counters, sent, arrived

    def _mark(self) -> None:
        self.before = self.read()
        """The counters at the last `start`."""
        self._plain_before = self._take_plain()

    def _take_plain(self) -> dict[str, InterfaceCounters]:
        """Read the counters of the first ends of the plain links, which are those of devices."""
        return {link.name: self._network.end_counters(link.name)[0] for link in self._plain}

    def _take(self) -> dict[str, WireCounters]:
        return {link.name: self._network.wires[link.name].counters() for link in self._links}


def _packets(wires: dict[str, WireCounters]) -> list[int]:
    return [direction.received_packets for wire in wires.values() for direction in both(wire)]


def _carried(before: InterfaceCounters, after: InterfaceCounters) -> WireBytes:
    """Return the traffic of a plain link, by the counters of its first end."""
    return WireBytes(
        up_bytes=after.tx_bytes - before.tx_bytes,
        up_packets=after.tx_packets - before.tx_packets,
        up_dropped=0,
        down_bytes=after.rx_bytes - before.rx_bytes,
        down_packets=after.rx_packets - before.rx_packets,
        down_dropped=0,
    )
