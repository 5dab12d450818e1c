"""Forward passes that took longer than the hardware that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence, PacedNode
from testbed.events import Event
from testbed.models.compute.pace import Pace

SHARE = 0.02
"""The share by which all passes of a generation together may exceed the time of their pace."""
EACH = 0.2e-3
"""Seconds by which every pass may be late: no timer is exact, and short passes show it."""


class Pacing(GenerationCheck):
    """The events of both nodes, where a scenario sets their compute."""

    name = "pacing"
    level = "invalid"
    limit = (
        "a model's passes in a generation exceed the time of their compute profile by at most the "
        f"larger of {SHARE * 100:g} % and {EACH * 1e3:g} ms per pass; a late generation is first "
        "decoded again, up to twice, unless the prompt before it stayed late, too"
    )
    remedy = "leave the machine to the testbed, take a smaller model, or set time_dilation"

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        return late_nodes(evidence.paced)


def late_nodes(nodes: Iterable[PacedNode]) -> Iterator[str]:
    """Yield a reason for each node whose passes took too long."""
    for node in nodes:
        if reason := lateness(node.name, node.events, node.pace):
            yield reason


def lateness(node: str, events: Iterable[Event], pace: Pace) -> str | None:
    """Return why a generation is invalid whose passes on a node took too long, by its events.

    None when they took no longer than they may.
    """
    due, took = [], []
    for event in events:
        if event["event"] == "forward":
            due.append(pace.seconds(event["tokens"]))
            took.append(event["dur"] * 1e-9)
    limit = max(SHARE * sum(due), EACH * len(due))
    if sum(took) - sum(due) <= limit:
        return None
    return (
        f"{node} did not keep its pace, {pace}: {len(took)} passes took "
        f"{sum(took) * 1e3:.0f} ms and not {sum(due) * 1e3:.0f} ms (limit "
        f"{limit * 1e3:.1f} ms more): this machine is too slow or too busy for it"
    )
