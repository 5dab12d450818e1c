"""Tokens per second against a swept value, one line per method; one panel for each other value."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, PANELS, drawable, legend_of, marks
from testbed.results import Results
from testbed.sweep import axes_of, namer, short_key
from testbed.traces.summary import Row


def draw(results: Results) -> Figure | None:
    """The figure, or None without a sweep.

    The first key of the sweep is the x axis, in the order of its values; keys that change together
    with it are named there.
    """
    rows = [row for row in drawable(results.summary().rows) if row.point]
    if not rows:
        return None
    labels = list(dict.fromkeys(row.method for row in rows))
    panels: dict[str, list[Row]] = {}
    points = [row.point for row in rows]
    together, name = axes_of(points)[0], namer(points)
    for row in rows:
        others = {key: value for key, value in row.point.items() if key not in together}
        panels.setdefault(textwrap.fill(name(others), 90), []).append(row)
    if len(panels) > PANELS:
        return None
    figure = Figure(figsize=(2 * COLUMN, max(2.6 * len(panels), 0.4 + 0.19 * len(labels))))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, panels.items(), strict=True):
        _draw_panel(axes, together[0], labels, mine)
        axes.set_title(title, loc="left", fontsize=8)
    all_axes[-1].set_xlabel(", ".join(map(short_key, together)))
    legend_of(figure)
    return figure


def _draw_panel(axes: Axes, key: str, labels: list[str], rows: list[Row]) -> None:
    values: list[Any] = []
    for row in rows:
        if row.point[key] not in values:
            values.append(row.point[key])
    for label in labels:
        at = [
            [row for row in rows if row.method == label and row.point[key] == value]
            for value in values
        ]
        speeds = [
            (x, sum(row.tokens for row in mine) / sum(row.seconds for row in mine))
            for x, mine in enumerate(at)
            if mine
        ]
        axes.plot(*zip(*speeds, strict=True), **marks(label, labels))
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.set_ylabel("tokens per second")
