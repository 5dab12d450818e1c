"""Tokens per second by method: all generations together, and each generation as a dot.

Bars and dots are of one device; where several decode at the same time, a number is the aggregate.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, few_points, labels_of, method_style, name_methods, shown_points
from testbed.analysis.aggregate import aggregate_speed
from testbed.analysis.generations import Sample
from testbed.analysis.intervals import speed
from testbed.results.directory import Results


def draw(results: Results) -> Figure | None:
    """Return the figure; None without generations that count, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every, 45)
    if not points:
        return None
    several = len({row.device for each in every for s in each.samples for row in s.every}) > 1
    figure = Figure(figsize=(COLUMN, 0.7 + 0.36 * len(labels) * len(points)))
    all_axes = figure.subplots(len(points), 1, squeeze=False)[:, 0]
    for axes, (title, samples) in zip(all_axes, points, strict=True):
        _draw_point(axes, labels, samples, several=several)
        axes.set_title(title, loc="left", fontsize=7)
    speed_of = "tokens/s of one device" if several else "tokens per second"
    all_axes[-1].set_xlabel(f"{speed_of} (bar: all, dot: one generation)")
    return figure


def _draw_point(axes: Axes, labels: list[str], samples: Sequence[Sample], *, several: bool) -> None:
    for y, sample in enumerate(samples):
        if not sample.rows:
            continue
        mean = speed(sample.rows).estimate
        axes.barh(y, mean, color=method_style(sample.method, labels).colour, height=0.6)
        each = [row.tokens_per_second for row in sample.rows]
        axes.plot(each, [y] * len(each), "o", ms=3, mfc="white", mec="black", mew=0.6)
        whole = sample.complete() if several else []
        aggregate = f" (aggregate {aggregate_speed(whole):.1f})" if whole else ""
        axes.annotate(
            f"{mean:.1f}{aggregate}", (max(mean, *each), y), xytext=(4, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    name_methods(axes, samples)
    axes.margins(x=0.8 if several else 0.15)  # for the numbers behind the bars
    axes.set_xlim(left=0)
