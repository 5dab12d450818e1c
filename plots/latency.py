"""Distributions of ITL (time from one token to the next) and of round time, by method.

The share of values up to each time in ms; ITL is 0 between tokens that are committed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import (
    COLUMN,
    few_points,
    labels_of,
    legend_of,
    method_style,
    plain_ticks,
    shown_points,
)
from testbed.analysis.generations import Sample
from testbed.analysis.metrics import inter_token_latencies, round_seconds
from testbed.results.directory import Results
from testbed.results.rows import Row

_PANELS: tuple[tuple[str, Callable[[Sequence[Row]], list[float]]], ...] = (
    ("ITL, ms", inter_token_latencies),
    ("time of a round, ms", round_seconds),
)
_LEAST = 1.0  # ms: an ITL of 0 is drawn here


def draw(results: Results) -> Figure | None:
    """Return the figure; None where times are not known, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every)
    if not any(row.token_s for _, samples in points for each in samples for row in each.rows):
        return None
    figure = Figure(figsize=(2 * COLUMN, 0.4 + 1.9 * len(points)))
    grid = figure.subplots(len(points), 2, sharex=True, sharey=True, squeeze=False)
    for both, (title, samples) in zip(grid, points, strict=True):
        for axes, (_, measure) in zip(both, _PANELS, strict=True):
            _draw_distributions(axes, labels, samples, measure)
        both[0].set_title(title, loc="left", fontsize=7)
        both[0].set_ylabel("share within")
    for axes, (name, _) in zip(grid[-1], _PANELS, strict=True):
        axes.set_xlabel(name)
    grid[0, 0].set_xscale("log")
    plain_ticks(grid[0, 0].xaxis, steps=(1,))
    grid[0, 0].set_xlim(left=_LEAST)
    grid[0, 0].set_ylim(0, 1.02)
    legend_of(figure, every)
    return figure


def _draw_distributions(
    axes: Axes,
    labels: list[str],
    samples: Sequence[Sample],
    measure: Callable[[Sequence[Row]], list[float]],
) -> None:
    for sample in samples:
        waits = sorted(measure(sample.rows))
        if not waits:
            continue
        shown = method_style(sample.method, labels)
        axes.ecdf(
            [max(_LEAST, 1000 * wait) for wait in waits], color=shown.colour, lw=1.1,
            label=shown.name, marker=shown.marker, ms=3, markevery=0.25,
        )  # fmt: skip
