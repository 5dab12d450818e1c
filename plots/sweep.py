"""Tokens per second against a swept value, one line per method; one panel for each other value."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, PANELS, drawable, legend_of, marks
from testbed.results import Results
from testbed.sweep import Values, alike, axes_of, namer, short_key
from testbed.traces.summary import Row


def draw(results: Results) -> Figure | None:
    """The figure, or None without a sweep.

    The first key of the sweep is the x axis, in the order of its values; keys that change together
    with it are named there. Where points have other keys than one another, they are the x axis
    themselves, in the order of the sweep.
    """
    rows = [row for row in drawable(results.summary().rows) if row.point]
    if not rows:
        return None
    labels = list(dict.fromkeys(row.method for row in rows))
    panels: dict[str, list[Row]] = {}
    points = [row.point for row in rows]
    together, name = axes_of(points)[0], namer(points)
    listed = not alike(points)
    if listed:
        together = list(dict.fromkeys(key for point in points for key in point))

    def tick(point: Values) -> str:
        return textwrap.fill(name(point), 24) if listed else str(point[together[0]])

    for row in rows:
        others = {key: value for key, value in row.point.items() if key not in together}
        panels.setdefault(textwrap.fill(name(others), 90), []).append(row)
    if len(panels) > PANELS:
        return None
    figure = Figure(figsize=(2 * COLUMN, max(2.6 * len(panels), 0.4 + 0.19 * len(labels))))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, panels.items(), strict=True):
        _draw_panel(axes, tick, labels, mine)
        axes.set_title(title, loc="left", fontsize=8)
    if listed:
        all_axes[-1].tick_params(axis="x", labelrotation=30, labelsize=6)
    else:
        all_axes[-1].set_xlabel(", ".join(map(short_key, together)))
    legend_of(figure)
    return figure


def _draw_panel(
    axes: Axes, tick: Callable[[Values], str], labels: list[str], rows: list[Row]
) -> None:
    values = list(dict.fromkeys(tick(row.point) for row in rows))
    for label in labels:
        at = [
            [row for row in rows if row.method == label and tick(row.point) == value]
            for value in values
        ]
        speeds = [
            (x, sum(row.tokens for row in mine) / sum(row.seconds for row in mine))
            for x, mine in enumerate(at)
            if mine
        ]
        axes.plot(*zip(*speeds, strict=True), **marks(label, labels))
    axes.set_xticks(range(len(values)), values)
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.set_ylabel("tokens per second")
