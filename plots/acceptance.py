"""Per-position acceptance: acceptance rate against the position of a draft in its round."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.style import COLUMN, few_points, labels_of, legend_of, plot_means, shown_points
from testbed.analysis.metrics import acceptance_per_position
from testbed.results.directory import Results

_LEAST = 5  # verified drafts; a rate of fewer is meaningless


def draw(results: Results) -> Figure | None:
    """Return the figure; None where nothing was verified, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every, 60)
    rows = [row for _, samples in points for each in samples for row in each.rows]
    if not any(row.counts.verified_per_position for row in rows):
        return None
    figure = Figure(figsize=(1.9 * COLUMN, 0.5 + 1.8 * len(points)))
    all_axes = figure.subplots(len(points), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, samples) in zip(all_axes, points, strict=True):
        for sample in samples:
            rates = [
                (number, position.accepted / position.verified, sample)
                for number, position in enumerate(acceptance_per_position(sample.rows), 1)
                if position.verified >= _LEAST
            ]
            if rates:
                plot_means(axes, sample.method, labels, rates)
        axes.set_title(title, loc="left", fontsize=7)
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("acceptance rate")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    all_axes[-1].set_xlabel(f"position in the round (verified {_LEAST} times or more)")
    legend_of(figure, every)
    return figure
