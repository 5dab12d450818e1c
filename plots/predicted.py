"""Measured tokens per second against those predicted by the papers' model of a round.

A mark per method and point of the sweep; on the line both are equal.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from plots.style import COLUMN, labels_of, legend_of, plain_ticks, plot_means, shown_points
from testbed.analysis.intervals import speed
from testbed.analysis.metrics import predicted_speed
from testbed.results.directory import Results


def draw(results: Results) -> Figure | None:
    """Return the figure; None where nothing could be predicted."""
    points = shown_points(results)
    labels, figure = labels_of(points), Figure(figsize=(1.9 * COLUMN, 2.7))
    axes = figure.subplots()
    ends: list[float] = []
    for index, label in enumerate(labels):
        means = [
            (predicted, speed(sample.rows).estimate, sample)
            for sample in (point.samples[index] for point in points)
            if sample.rows and (predicted := predicted_speed(sample.rows)) is not None
        ]
        if means:
            plot_means(axes, label, labels, means, lw=0, ms=4.5)
            ends += [value for x, y, _ in means for value in (x, y)]
    if not ends:
        return None
    line = (0.8 * min(ends), 1.25 * max(ends))
    axes.plot(line, line, color="black", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=line, ylim=line)
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis)
    axes.grid(axis="both")
    axes.set_xlabel("tokens per second, predicted")
    axes.set_ylabel("measured")
    legend_of(figure, points)
    return figure
