"""The changes of links and paths in a run, written down at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.audit.change_records import write_changes, write_handovers
from testbed.emulation.network import Network
from testbed.links.handovers import Handover
from testbed.links.schedule_cursor import Applied


def end_links(network: Network, folder: Path) -> dict[str, list[Applied]]:
    """End the logs of all links; write down and return how each has changed.

    Raises TestbedError when a link failed.
    """
    changes = {}
    for name, wire in network.wires.items():
        wire.check()  # it may have failed since the last generation
        wire.end_logs()
        changes[name] = wire.applied()
        if changes[name]:
            write_changes(folder / f"changes.{name}.jsonl", changes[name])
    return changes


def end_handovers(network: Network, scheduled: Sequence[Handover], folder: Path) -> list[Applied]:
    """End the handovers; write down and return those of `scheduled` that were made."""
    network.handovers.end()
    made = list(zip(scheduled, network.handovers.applied(), strict=False))
    if made:
        write_handovers(folder / "handovers.jsonl", made)
    return [applied for _, applied in made]
