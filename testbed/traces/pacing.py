"""Whether forward passes took as long as they were to take, and no longer."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.models.pace import Pace
from testbed.traces.events import Event
from testbed.traces.verdict import Verdict

SHARE = 0.02
"""How much longer than asked all passes of a text may take together."""
EACH = 0.2e-3
"""Seconds by which every pass may be late: no timer is exact, and short passes show it."""


def judge_pace(node: str, events: Iterable[Event], pace: Pace, verdict: Verdict) -> None:
    """Call a text invalid whose passes on a node took too long, by that node's events."""
    asked, took = [], []
    for event in events:
        if event["event"] == "forward":
            asked.append(pace.seconds(event["tokens"]))
            took.append(event["dur"] * 1e-9)
    late = sum(took) - sum(asked)
    limit = max(SHARE * sum(asked), EACH * len(asked))
    if late > limit:
        verdict.add(
            "invalid",
            f"{node} did not keep its pace, {pace}: {len(took)} passes took "
            f"{sum(took) * 1e3:.0f} ms and not {sum(asked) * 1e3:.0f} ms (limit "
            f"{limit * 1e3:.1f} ms more): this machine is too slow or too busy for it",
        )
