"""The level that the measurement of a link allows, and the sentence that says why."""

from __future__ import annotations

from testbed.results.link_check import Check, format_limits, format_value
from testbed.results.verdict import Level

LATE = 5e-3
"""Seconds beyond a limit that a busy machine can cause; beyond them the link itself is wrong."""


def severity(check: Check) -> Level:
    """Return the level that a measurement allows a run on the link."""
    if check.outcome != "failed":
        return "valid"
    assert check.measured is not None
    late = check.unit == "s" and check.high is not None and check.high < check.measured
    return "suspect" if late and check.measured <= (check.high or 0.0) + LATE else "invalid"


def why(check: Check) -> str:
    """Return the reason, in a sentence."""
    explained = " (within what a busy machine can cause)" if severity(check) == "suspect" else ""
    measured = format_value(check.measured, check.unit)
    return (
        f"link {check.link} {check.direction}: {check.name} was {measured} "
        f"before the run, where {_asked(check)} was asked{explained}"
    )


def _asked(check: Check) -> str:
    if check.requested is None or check.unit == "packets":
        return format_limits(check)
    return f"{format_value(check.requested, check.unit)} {format_limits(check)}"
