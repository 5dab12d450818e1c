"""One check of a calibration: a requested value, the measured one, its limits, the outcome."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

CheckOutcome = Literal["ok", "failed", "not measured"]
Unit = Literal["s", "bit/s", "share", "p", "packets", "distance"]


class Check(msgspec.Struct, kw_only=True):
    """A measurement of one direction of a link ('both' where the directions go together).

    Values are in SI units. The check is ok when `low` ≤ `measured` ≤ `high`; None is no limit.
    Where nothing was measured, `note` says why.
    """

    link: str
    direction: str
    name: str
    outcome: CheckOutcome
    unit: Unit
    requested: float | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def judge(
    link: str,
    direction: str,
    name: str,
    unit: Unit,
    *,
    measured: float,
    requested: float | None = None,
    low: float | None = None,
    high: float | None = None,
    note: str = "",
) -> Check:
    """Return a check that is ok when `measured` lies within the limits given, else failed."""
    fits = (low is None or measured >= low) and (high is None or measured <= high)
    return Check(
        link=link,
        direction=direction,
        name=name,
        outcome="ok" if fits else "failed",
        unit=unit,
        requested=requested,
        measured=measured,
        low=low,
        high=high,
        note=note,
    )


def not_measured(link: str, direction: str, name: str, unit: Unit, note: str) -> Check:
    """Return a check that could not be made; `note` says why."""
    return Check(
        link=link, direction=direction, name=name, outcome="not measured", unit=unit, note=note
    )


def tolerance(delay: float) -> float:
    """Return the tolerance in seconds of a median one-way delay: the larger of 0.5 ms and 2 %."""
    return max(0.5e-3, 0.02 * delay)


def burst_tolerance(ideal: float) -> float:
    """Return the tolerance in seconds of the time of a burst: the larger of 0.5 ms and 5 %."""
    return max(0.5e-3, 0.05 * ideal)


def format_value(value: float | None, unit: Unit) -> str:
    """Return a value as text with its unit; a dash for None."""
    if value is None:
        return "–"
    if unit == "s":
        return f"{value * 1e3:.2f} ms"
    if unit == "bit/s":
        return f"{value / 1e6:.2f} Mb/s"
    if unit == "share":
        return f"{value * 100:.2f} %"
    if unit == "packets":
        return f"{value:.0f}"
    return f"{value:.4f}" if unit == "distance" else f"{value:.3f}"


def format_limits(check: Check) -> str:
    """Return the limits of a check as text: `≤ 5.00 ms`, `± 0.50 ms`; a dash without limits."""
    low, high = format_value(check.low, check.unit), format_value(check.high, check.unit)
    if check.low is None and check.high is None:
        return "–"
    if check.low is None:
        return f"≤ {high}"
    if check.high is None:
        return f"≥ {low}"
    if check.requested is not None and math.isclose(
        check.high - check.requested, check.requested - check.low, rel_tol=1e-6
    ):
        return f"± {format_value(check.high - check.requested, check.unit)}"
    return f"{low} to {high}"
