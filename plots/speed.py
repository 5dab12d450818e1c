"""Tokens per second by method: all texts together, and each text as a dot."""

from __future__ import annotations

from matplotlib.figure import Figure

from plots.style import COLUMN, drawable, look, name_methods
from testbed.results import Results


def draw(results: Results) -> Figure | None:
    """The figure, or None without rows."""
    rows = drawable(results.summary().rows)
    labels = list(dict.fromkeys(row.method for row in rows))
    if not labels:
        return None
    figure = Figure(figsize=(COLUMN, 0.7 + 0.32 * len(labels)))
    axes = figure.subplots()
    for y, label in enumerate(labels):
        mine = [row for row in rows if row.method == label]
        speed = sum(row.tokens for row in mine) / sum(row.seconds for row in mine)
        axes.barh(y, speed, color=look(label, labels).colour, height=0.6)
        each = [row.tokens_per_second for row in mine]
        axes.plot(each, [y] * len(each), "o", ms=3, mfc="white", mec="black", mew=0.6)
        axes.annotate(
            f"{speed:.1f}", (max(speed, *each), y), xytext=(4, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    name_methods(axes, labels, rows)
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.set_xlabel("tokens per second (bar: all texts, dot: one text)")
    return figure
