"""Tokens per second by method: all texts together, and each text as a dot.

Of one device; where several decode at the same time, a number says what they make together.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, drawable, few_points, look, name_methods
from testbed.results import Results
from testbed.traces.summary import Row, together_speed


def draw(results: Results) -> Figure | None:
    """The figure, or None without rows, or with more points than fit."""
    rows = drawable(results.summary().rows)
    labels = list(dict.fromkeys(row.method for row in rows))
    points = few_points(rows, 45)
    if not points:
        return None
    several = len({row.device for row in rows}) > 1
    figure = Figure(figsize=(COLUMN, 0.7 + 0.32 * len(labels) * len(points)))
    all_axes = figure.subplots(len(points), 1, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, points, strict=True):
        _draw_point(axes, labels, mine, several=several)
        axes.set_title(title, loc="left", fontsize=7)
    speed_of = "tokens/s of one device" if several else "tokens per second"
    all_axes[-1].set_xlabel(f"{speed_of} (bar: all texts, dot: one text)")
    return figure


def _draw_point(axes: Axes, labels: list[str], rows: list[Row], *, several: bool) -> None:
    for y, label in enumerate(labels):
        mine = [row for row in rows if row.method == label]
        speed = sum(row.tokens for row in mine) / sum(row.seconds for row in mine)
        axes.barh(y, speed, color=look(label, labels).colour, height=0.6)
        each = [row.tokens_per_second for row in mine]
        axes.plot(each, [y] * len(each), "o", ms=3, mfc="white", mec="black", mew=0.6)
        together = f" (together {together_speed(mine):.1f})" if several else ""
        axes.annotate(
            f"{speed:.1f}{together}", (max(speed, *each), y), xytext=(4, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    name_methods(axes, labels, rows)
    axes.margins(x=0.8 if several else 0.15)  # for the numbers behind the bars
    axes.set_xlim(left=0)
