"""Packets of a link that vanished or appeared, by the counters of hosts and wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence
from testbed.audit.link_packets import LinkPackets


class PacketConservation(GenerationCheck):
    """The counters of the hosts' interfaces and of the wire between them."""

    name = "packet_conservation"
    level = "invalid"
    limit = (
        "0 packets of difference between hosts and wire, in each direction of each link: sent = "
        "received by the wire, received + duplicated = forwarded + dropped + queued, forwarded = "
        "arrived, and the relay's socket dropped none"
    )
    remedy = "repeat the run on a less busy machine: `testbed run --resume RESULTS --redo`"

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        return discrepancies(evidence.links)


def discrepancies(links: Iterable[LinkPackets]) -> Iterator[str]:
    """Yield where packets of links were lost that no model dropped."""
    for link in links:
        for where, direction, sent, arrived in link.directions():
            known = (
                direction.forwarded_packets + direction.dropped_packets + direction.queued_packets
            )
            entered = direction.received_packets + direction.duplicated_packets
            if entered != known:
                yield f"{where}: {entered} packets in, {known} accounted for"
            if direction.received_packets != sent:
                yield (
                    f"{where}: {sent} packets sent, {direction.received_packets} reached the wire"
                )
            if direction.forwarded_packets != arrived:
                yield (
                    f"{where}: {direction.forwarded_packets} packets left the wire, "
                    f"{arrived} arrived"
                )
            if direction.socket_drops:
                yield f"{where}: the relay missed {direction.socket_drops} packets"
