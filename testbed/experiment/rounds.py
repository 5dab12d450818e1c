"""rounds.json: the time of each round of a run, by phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from testbed.analysis.phases import MessageFlight, Recovery, TextTimes, round_times
from testbed.audit.capture_evidence import CapturedDirection
from testbed.experiment.decode import Generation
from testbed.experiment.deployment import Deployment
from testbed.pcap.loss_recovery import RetransmissionGaps
from testbed.results.rows import Row

Captured = Mapping[str, Mapping[str, CapturedDirection]]
"""Captured frames by link and direction."""


def time_rounds(
    path: Path,
    deployment: Deployment,
    decoded: Iterable[tuple[Row, Generation]],
    captured: Captured,
) -> None:
    """Write how long the rounds of all generations took, and put it into their rows."""
    routes = deployment.routes
    recoveries = {device: _recovery(deployment, device, captured) for device in routes.own_links}
    timed = []
    for row, generation in decoded:
        rounds = round_times(
            generation.events,
            generation.answers,
            round(generation.result.start * 1e9),
            routes.route(row.device),
            recoveries[row.device],
        )
        times = TextTimes(prompt=row.prompt, device=row.device, rounds=rounds)
        row.round_s = [round(each.seconds, 6) for each in rounds]
        row.phases = times.total()
        timed.append(times)
    path.write_bytes(msgspec.json.encode(timed))


def _recovery(deployment: Deployment, device: str, captured: Captured) -> Recovery | None:
    """Return the function from a message's flight to the seconds its lost bytes were sent again.

    None where the links change, so that flights cannot be derived, or were not captured.
    """
    names, address = deployment.routes.shaped(device), deployment.network.address(device)
    if deployment.routes.route(device) is None or not names:
        return None
    if any(name not in captured for name in names):
        return None
    first, last = captured[names[0]], captured[names[-1]]
    directions = {
        "up": RetransmissionGaps(first["up"].sent, last["up"].arrived, address),
        "down": RetransmissionGaps(last["down"].sent, first["down"].arrived, address),
    }

    def recovery(flight: MessageFlight) -> float:
        return directions[flight.direction].within(flight.sent, flight.received)

    return recovery
