"""Passes that last too long make a text invalid."""

from __future__ import annotations

import pytest

from testbed.audit.checks.pacing import lateness
from testbed.models.compute.pace import Pace

PACE = Pace(per_pass=20e-3, per_token=1e-3)


def passes(*took: tuple[int, float]):
    """Events of passes over so many tokens that took so many seconds, among others."""
    events = [{"event": "forward", "tokens": n, "dur": round(s * 1e9)} for n, s in took]
    return [{"event": "draft", "dur": 10**9}, *events, {"event": "send", "bytes": 9}]


@pytest.mark.parametrize(
    ("took", "late"),
    [
        ([(1, 21e-3)] * 10, False),
        ([(1, 21.4e-3)] * 10, False),  # 2 % is 4.2 ms of 210
        ([(1, 21.5e-3)] * 10, True),
        ([(1, 21e-3)] * 9 + [(1, 31e-3)], True),  # one alone is late enough
        ([(5, 25e-3), (1, 21e-3)], False),  # more tokens take longer
        ([(1, 25e-3), (1, 21e-3)], True),
        ([], False),
    ],
)
def test_a_text_is_judged_by_how_late_its_passes_are_together(took, late):
    reason = lateness("device", passes(*took), PACE)
    assert reason is None or "device did not keep its pace" in reason
    assert bool(reason) == late


def test_short_passes_may_be_late_by_what_timers_are():
    quick = Pace(per_pass=1e-3, per_token=0)
    assert not lateness("device", passes(*[(1, 1.19e-3)] * 100), quick)
    assert lateness("device", passes(*[(1, 1.21e-3)] * 100), quick)
