"""Whether forward passes took as long as they were to take, and no longer."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.events import Event
from testbed.models.compute.pace import Pace

SHARE = 0.02
"""How much longer than asked all passes of a text may take together."""
EACH = 0.2e-3
"""Seconds by which every pass may be late: no timer is exact, and short passes show it."""


def lateness(node: str, events: Iterable[Event], pace: Pace) -> str | None:
    """Why a text is invalid whose passes on a node took too long, by that node's events.

    None when they took no longer than they may.
    """
    asked, took = [], []
    for event in events:
        if event["event"] == "forward":
            asked.append(pace.seconds(event["tokens"]))
            took.append(event["dur"] * 1e-9)
    limit = max(SHARE * sum(asked), EACH * len(asked))
    if sum(took) - sum(asked) <= limit:
        return None
    return (
        f"{node} did not keep its pace, {pace}: {len(took)} passes took "
        f"{sum(took) * 1e3:.0f} ms and not {sum(asked) * 1e3:.0f} ms (limit "
        f"{limit * 1e3:.1f} ms more): this machine is too slow or too busy for it"
    )
