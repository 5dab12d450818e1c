"""The times at which links and paths changed: their files, and their lateness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from testbed.emulation.lateness import LatenessHistogram
from testbed.links.handovers import Handover
from testbed.links.schedule_cursor import Applied

LATE = 10e-3
"""Seconds: a link or a path that changes later than this in 1 % of cases is suspect."""


class ChangeRecord(msgspec.Struct):
    """One line of changes.LINK.jsonl; times in ns of testbed.clock."""

    scheduled: int
    applied: int


class HandoverRecord(ChangeRecord):
    """One line of handovers.jsonl: when the path changed to the link `to`."""

    to: str


def write_changes(path: Path, applied: Sequence[Applied]) -> None:
    """Write the scheduled and actual times of changes."""
    records = (ChangeRecord(round(a.scheduled * 1e9), round(a.applied * 1e9)) for a in applied)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


def write_handovers(path: Path, made: Sequence[tuple[Handover, Applied]]) -> None:
    """Write the scheduled and actual times of handovers."""
    records = (
        HandoverRecord(round(a.scheduled * 1e9), round(a.applied * 1e9), handover.to)
        for handover, a in made
    )
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


def lateness(applied: Sequence[Applied]) -> str | None:
    """Return how late 1 % of some changes came; None where that is within the limit."""
    histogram = LatenessHistogram()
    for each in applied:
        histogram.add(each.applied - each.scheduled)
    p99 = histogram.summary()["p99"]
    if p99 <= LATE:
        return None
    return f"came over {p99 * 1e3:.1f} ms late (limit {LATE * 1e3:g} ms)"
