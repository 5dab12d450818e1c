"""Aggregates of rows: by point of the sweep, and over devices that decode at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.results.rows import Row


def by_point(rows: list[Row]) -> list[tuple[dict[str, Any], list[Row]]]:
    """Return each point of the sweep with its rows, points in the order of the scenario."""
    points: list[dict[str, Any]] = []
    for row in rows:
        if row.point not in points:
            points.append(row.point)
    return [(point, [row for row in rows if row.point == point]) for point in points]


def dilation_text(rows: Sequence[Row]) -> str:
    """Return a note on the dilation of time; empty without dilation."""
    factors = sorted({row.time_dilation for row in rows})
    if factors in ([], [1.0]):
        return ""
    slow = " or ".join(f"{factor:g}" for factor in factors)
    return f"in emulated time; everything ran {slow} times as slow"


def aggregate_seconds(rows: Sequence[Row]) -> float:
    """Return the seconds that the generations of one method took together.

    Concurrent generations count once, from the first start to the last end.
    """
    concurrent: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        concurrent.setdefault((row.repeat, row.prompt), []).append(row)
    return sum(
        max(row.start_s + row.seconds for row in mine) - min(row.start_s for row in mine)
        for mine in concurrent.values()
    )


def aggregate_speed(rows: Sequence[Row]) -> float:
    """Return the tokens/s of all devices together, from the rows of one method."""
    return sum(row.tokens for row in rows) / aggregate_seconds(rows)
