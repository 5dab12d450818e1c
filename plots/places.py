"""Acceptance by place: of the first, second, … drafts of rounds that were tested."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.style import COLUMN, few_points, labels_of, legend_of, plot_means, shown_points
from testbed.analysis.metrics import acceptance_by_place
from testbed.results.directory import Results

_LEAST = 5  # tests; of fewer, a rate says nothing


def draw(results: Results) -> Figure | None:
    """The figure, or None where nothing was tested, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every, 60)
    if not any(row.tested_at for _, samples in points for each in samples for row in each.rows):
        return None
    figure = Figure(figsize=(1.9 * COLUMN, 0.5 + 1.8 * len(points)))
    all_axes = figure.subplots(len(points), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, samples) in zip(all_axes, points, strict=True):
        for sample in samples:
            rates = [
                (number, place.accepted / place.tested, sample)
                for number, place in enumerate(acceptance_by_place(sample.rows), 1)
                if place.tested >= _LEAST
            ]
            if rates:
                plot_means(axes, sample.method, labels, rates)
        axes.set_title(title, loc="left", fontsize=7)
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("accepted, of those tested")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    all_axes[-1].set_xlabel(f"place in the round (with {_LEAST} tests or more)")
    legend_of(figure, every)
    return figure
