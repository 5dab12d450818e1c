"""Loss recovery in captures: the part of a message's flight in which bytes were sent again."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.analysis.phases import MessageFlight, Recovery
from testbed.audit.capture_evidence import CapturedDirection
from testbed.emulation.network import Network
from testbed.experiment.routes import Routes
from testbed.pcap.loss_recovery import RetransmissionGaps

Captured = Mapping[str, Mapping[str, CapturedDirection]]
"""Captured frames by link and direction."""


def captured_recoveries(
    routes: Routes, network: Network, captured: Captured
) -> dict[str, Recovery]:
    """Return, by device, the function from a flight to the seconds its lost bytes were sent again.

    A device is left out where the links change, so that flights cannot be derived, or were not
    captured.
    """
    found = {}
    for device in routes.own_links:
        names = routes.shaped(device)
        if routes.route(device) is None or not names or not set(names) <= captured.keys():
            continue
        found[device] = _recovery(captured, names[0], names[-1], network.address(device))
    return found


def _recovery(captured: Captured, nearest: str, farthest: str, address: str) -> Recovery:
    first, last = captured[nearest], captured[farthest]
    directions = {
        "up": RetransmissionGaps(first["up"].sent, last["up"].arrived, address),
        "down": RetransmissionGaps(last["down"].sent, first["down"].arrived, address),
    }

    def recovery(flight: MessageFlight) -> float:
        return directions[flight.direction].within(flight.sent, flight.received)

    return recovery
