"""Tokens per second against a swept value, a line per method; a panel for each other value."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, PANELS, labels_of, legend_of, plain, plot_means, shown_points
from testbed.analysis.generations import Point
from testbed.analysis.intervals import speed
from testbed.results.directory import Results
from testbed.scenario.sweep import Values, alike, axes_of, namer, short_key


def draw(results: Results) -> Figure | None:
    """Return the figure; None without a sweep.

    The first key of the sweep is the x axis, in the order of its values; keys that change together
    with it are named there. Where the points have different keys, the points themselves are the
    x axis, in the order of the sweep.
    """
    every = [point for point in shown_points(results) if point.values]
    if not every:
        return None
    labels = labels_of(every)
    panels: dict[str, list[Point]] = {}
    points = [point.values for point in every]
    together, name = axes_of(points)[0], namer(points)
    listed = not alike(points)
    if listed:
        together = list(dict.fromkeys(key for point in points for key in point))

    def tick(point: Values) -> str:
        return name(point) if listed else str(point[together[0]])

    for each in every:
        others = {key: value for key, value in each.values.items() if key not in together}
        panels.setdefault(name(others), []).append(each)
    if len(panels) > PANELS:
        return None
    figure = Figure(figsize=(2 * COLUMN, max(2.6 * len(panels), 0.5 + 0.19 * len(labels))))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, panels.items(), strict=True):
        _draw_panel(axes, tick, labels, mine)
        axes.set_title(textwrap.fill(plain(title), 90), loc="left", fontsize=8)
    if listed:
        all_axes[-1].tick_params(axis="x", labelrotation=30, labelsize=6)
    else:
        all_axes[-1].set_xlabel(plain(", ".join(map(short_key, together))))
    legend_of(figure, every)
    return figure


def _draw_panel(
    axes: Axes, tick: Callable[[Values], str], labels: list[str], points: Sequence[Point]
) -> None:
    values = list(dict.fromkeys(tick(point.values) for point in points))
    for index, label in enumerate(labels):
        samples = [(values.index(tick(point.values)), point.samples[index]) for point in points]
        if any(sample.rows for _, sample in samples):
            plot_means(
                axes, label, labels,
                [
                    (x, speed(sample.rows).estimate if sample.rows else math.nan, sample)
                    for x, sample in sorted(samples, key=lambda each: each[0])
                ],
            )  # fmt: skip
    axes.set_xticks(range(len(values)), [textwrap.fill(plain(each, 90), 24) for each in values])
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.set_ylabel("tokens per second")
