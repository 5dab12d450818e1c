"""Acceptance rate against uplink payload bits per token, a mark per method and point of a sweep."""

from __future__ import annotations

from matplotlib.figure import Figure

from plots.style import COLUMN, labels_of, legend_of, plot_means, shown_points
from testbed.analysis.metrics import acceptance
from testbed.results.directory import Results


def draw(results: Results) -> Figure | None:
    """Return the figure; None where nothing was verified."""
    points = shown_points(results)
    labels, figure = labels_of(points), Figure(figsize=(1.9 * COLUMN, 2.5))
    axes = figure.subplots()
    for index, label in enumerate(labels):
        samples = [point.samples[index] for point in points]
        means = [
            (
                sum(row.traffic.up_payload_bits for row in sample.rows)
                / sum(row.tokens for row in sample.rows),
                accepted,
                sample,
            )
            for sample in samples
            if (accepted := acceptance(sample.rows)) is not None
        ]
        if means:
            plot_means(axes, label, labels, means, lw=0, ms=4.5)
    if not axes.lines:
        return None
    axes.set_xscale("log")
    axes.grid(axis="both")
    axes.set_ylim(top=1.02)
    axes.set_xlabel("uplink payload, bits per token")
    axes.set_ylabel("acceptance rate")
    legend_of(figure, points)
    return figure
