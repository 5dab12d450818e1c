"""Whether a schedule was kept to."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from testbed.emulation.lateness import LatenessHistogram
from testbed.emulation.player import Applied
from testbed.links.handovers import Handover

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
    """Write when changes should have come and when they did."""
    records = (ChangeRecord(round(a.scheduled * 1e9), round(a.applied * 1e9)) for a in applied)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


def write_handovers(path: Path, made: Sequence[tuple[Handover, Applied]]) -> None:
    """Write when handovers should have been made and when they were."""
    records = (
        HandoverRecord(round(a.scheduled * 1e9), round(a.applied * 1e9), handover.to)
        for handover, a in made
    )
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


def judge_changes(link: str, applied: Sequence[Applied]) -> list[str]:
    """Why the changes of a link make a run suspect."""
    return _judge(f"link {link}: 1 % of its changes", applied)


def judge_handovers(applied: Sequence[Applied]) -> list[str]:
    """Why the handovers of a run make it suspect."""
    return _judge("1 % of the handovers", applied)


def _judge(share: str, applied: Sequence[Applied]) -> list[str]:
    lateness = LatenessHistogram()
    for each in applied:
        lateness.add(each.applied - each.scheduled)
    p99 = lateness.summary()["p99"]
    if p99 <= LATE:
        return []
    return [f"{share} came over {p99 * 1e3:.1f} ms late (limit {LATE * 1e3:g} ms)"]
