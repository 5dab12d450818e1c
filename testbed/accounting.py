"""Counting what crossed the links during one text, and whether the books balance."""

from __future__ import annotations

import time

from testbed.control import Result
from testbed.emulation.network import Network
from testbed.emulation.topology import LinkDeclaration
from testbed.emulation.wire import DirectionCounters, WireCounters
from testbed.traces.summary import Event, WireBytes
from testbed.traces.verdict import Verdict

LATE = 5e-3
"""Seconds: a relay whose packets leave later than this in 1 % of cases is suspect."""
_STILL = 0.1  # seconds without a packet
_PATIENCE = 5.0  # seconds to wait for that


class Accountant:
    """Takes the links' counters before and after a text and compares all sources."""

    def __init__(self, network: Network, links: list[LinkDeclaration]) -> None:
        self._network = network
        self._links = links
        self._before = self._take()

    def start(self) -> None:
        """A text starts now."""
        for wire in self._network.wires.values():
            wire.forget_lateness()
        self._before = self._take()

    def settle(self) -> None:
        """Wait until the last acknowledgements have crossed, but not for ever."""
        deadline = time.monotonic() + _PATIENCE
        before = self._take()
        while time.monotonic() < deadline:
            time.sleep(_STILL)
            after = self._take()
            queued = [way.queued_packets for wire in after.values() for way in _ways(wire)]
            if not any(queued) and _packets(before) == _packets(after):
                return
            before = after

    def totals(self) -> dict[str, WireBytes]:
        """What each link took in since `start`."""
        after = self._take()
        return {name: _difference(self._before[name], wire) for name, wire in after.items()}

    def judge(self, verdict: Verdict) -> None:
        """Check the links' books as of now: nothing lost that no model dropped, nothing late."""
        for link in self._links:
            counters, sent, arrived = self._both_ends(link.name)
            for name, way, packets, got in zip(
                ("up", "down"), _ways(counters), sent, arrived, strict=True
            ):
                where = f"link {link.name} {name}"
                known = way.forwarded_packets + way.dropped_packets + way.queued_packets
                entered = way.received_packets + way.duplicated_packets
                if entered != known:
                    verdict.add("invalid", f"{where}: {entered} packets in, {known} accounted for")
                if way.received_packets != packets:
                    verdict.add(
                        "invalid",
                        f"{where}: {packets} packets sent, {way.received_packets} reached the wire",
                    )
                if way.forwarded_packets != got:
                    verdict.add(
                        "invalid",
                        f"{where}: {way.forwarded_packets} packets left the wire, {got} arrived",
                    )
                if way.socket_drops:
                    verdict.add("invalid", f"{where}: the relay missed {way.socket_drops} packets")
                if way.lateness and way.lateness.p99 > LATE:
                    verdict.add(
                        "suspect",
                        f"{where}: 1 % of packets left over {way.lateness.p99 * 1e3:.1f} ms late "
                        f"(limit {LATE * 1e3:g} ms)",
                    )

    def _both_ends(self, link: str) -> tuple[WireCounters, tuple[int, int], tuple[int, int]]:
        """The wire's counters, and packets sent (up, down) and arrived (up, down) at its hosts.

        They are read one after the other; a packet in between is no discrepancy.
        """
        for _ in range(5):
            counters = self._network.wires[link].counters()
            first, second = self._network.end_counters(link)
            sent = (first.tx_packets, second.tx_packets)
            arrived = (second.rx_packets, first.rx_packets)
            ways = _ways(counters)
            if sent == tuple(way.received_packets for way in ways) and arrived == tuple(
                way.forwarded_packets for way in ways
            ):
                break
            time.sleep(0.02)
        return counters, sent, arrived

    def _take(self) -> dict[str, WireCounters]:
        return {link.name: self._network.wires[link.name].counters() for link in self._links}


def judge_messages(result: Result, verifier: list[Event], verdict: Verdict) -> None:
    """Compare what the verifier says it sent with what the device says it received.

    Only while the line held: what is lost with a broken line is sent again.
    """
    sent = sum(event["bytes"] for event in verifier if event["event"] == "send")
    if not result.resends and sent != result.down_bytes:
        verdict.add(
            "invalid", f"the verifier sent {sent} B of messages, the device got {result.down_bytes}"
        )


def _ways(wire: WireCounters) -> tuple[DirectionCounters, DirectionCounters]:
    return wire.up, wire.down


def _packets(wires: dict[str, WireCounters]) -> list[int]:
    return [way.received_packets for wire in wires.values() for way in _ways(wire)]


def _difference(before: WireCounters, after: WireCounters) -> WireBytes:
    return WireBytes(
        up_bytes=after.up.received_bytes - before.up.received_bytes,
        up_packets=after.up.received_packets - before.up.received_packets,
        up_dropped=after.up.dropped_packets - before.up.dropped_packets,
        down_bytes=after.down.received_bytes - before.down.received_bytes,
        down_packets=after.down.received_packets - before.down.received_packets,
        down_dropped=after.down.dropped_packets - before.down.dropped_packets,
    )
