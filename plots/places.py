"""Acceptance by place: of the first, second, … drafts of rounds that were tested."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.style import COLUMN, drawable, few_points, legend_of, marks
from testbed.measures import acceptance_by_place
from testbed.results import Results

_LEAST = 5  # tests; of fewer, a rate says nothing


def draw(results: Results) -> Figure | None:
    """The figure, or None where nothing was tested, or with more points than fit."""
    rows = [row for row in drawable(results.summary().rows) if row.tested_at]
    labels = list(dict.fromkeys(row.method for row in rows))
    points = few_points(rows, 60)
    if not points:
        return None
    figure = Figure(figsize=(1.5 * COLUMN, 0.5 + 1.8 * len(points)))
    all_axes = figure.subplots(len(points), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, points, strict=True):
        for label in labels:
            places = acceptance_by_place([row for row in mine if row.method == label])
            rates = [
                (number, place.accepted / place.tested)
                for number, place in enumerate(places, 1)
                if place.tested >= _LEAST
            ]
            if rates:
                axes.plot(*zip(*rates, strict=True), **marks(label, labels))
        axes.set_title(title, loc="left", fontsize=7)
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("accepted, of those tested")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    all_axes[-1].set_xlabel(f"place in the round (with {_LEAST} tests or more)")
    legend_of(figure)
    return figure
