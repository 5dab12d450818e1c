"""Whether a schedule was kept to."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from testbed.emulation.lateness import LatenessHistogram
from testbed.emulation.player import Applied

LATE = 10e-3
"""Seconds: a link that changes later than this in 1 % of cases is suspect."""


class ChangeRecord(msgspec.Struct):
    """One line of changes.LINK.jsonl; times in ns of CLOCK_MONOTONIC."""

    scheduled: int
    applied: int


def write_changes(path: Path, applied: Sequence[Applied]) -> None:
    """Write when changes should have come and when they did."""
    records = (ChangeRecord(round(a.scheduled * 1e9), round(a.applied * 1e9)) for a in applied)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


def judge_changes(link: str, applied: Sequence[Applied]) -> list[str]:
    """Why the changes of a link make a run suspect."""
    lateness = LatenessHistogram()
    for each in applied:
        lateness.add(each.applied - each.scheduled)
    p99 = lateness.summary()["p99"]
    if p99 <= LATE:
        return []
    return [
        f"link {link}: 1 % of its changes came over {p99 * 1e3:.1f} ms late "
        f"(limit {LATE * 1e3:g} ms)"
    ]
