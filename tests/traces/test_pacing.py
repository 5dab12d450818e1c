"""Passes that last too long make a text invalid."""

from __future__ import annotations

import pytest

from testbed.models.pace import Pace
from testbed.traces.pacing import judge_pace
from testbed.traces.verdict import Verdict

PACE = Pace(per_pass=20e-3, per_token=1e-3)


def passes(*took: tuple[int, float]):
    """Events of passes over so many tokens that took so many seconds, among others."""
    events = [{"event": "forward", "tokens": n, "dur": round(s * 1e9)} for n, s in took]
    return [{"event": "draft", "dur": 10**9}, *events, {"event": "send", "bytes": 9}]


@pytest.mark.parametrize(
    ("took", "level"),
    [
        ([(1, 21e-3)] * 10, "valid"),
        ([(1, 21.4e-3)] * 10, "valid"),  # 2 % is 4.2 ms of 210
        ([(1, 21.5e-3)] * 10, "invalid"),
        ([(1, 21e-3)] * 9 + [(1, 31e-3)], "invalid"),  # one alone is late enough
        ([(5, 25e-3), (1, 21e-3)], "valid"),  # more tokens take longer
        ([(1, 25e-3), (1, 21e-3)], "invalid"),
        ([], "valid"),
    ],
)
def test_a_text_is_judged_by_how_late_its_passes_are_together(took, level):
    verdict = Verdict()
    judge_pace("device", passes(*took), PACE, verdict)
    assert verdict.level == level
    assert all("device did not keep its pace" in reason for reason in verdict.reasons)


def test_short_passes_may_be_late_by_what_timers_are():
    verdict = Verdict()
    quick = Pace(per_pass=1e-3, per_token=0)
    judge_pace("device", passes(*[(1, 1.19e-3)] * 100), quick, verdict)
    assert verdict.level == "valid"
    judge_pace("device", passes(*[(1, 1.21e-3)] * 100), quick, verdict)
    assert verdict.level == "invalid"
