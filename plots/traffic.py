"""Bytes per token by method, uplink and downlink: payload, and frames on the device's links."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, few_points, labels_of, method_style, name_methods, shown_points
from testbed.analysis.generations import Sample
from testbed.analysis.metrics import TRAFFIC
from testbed.results.directory import Results


def draw(results: Results) -> Figure | None:
    """Return the figure; None without generations that count, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every)
    if not points:
        return None
    figure = Figure(figsize=(2 * COLUMN, 0.9 + 0.34 * len(labels) * len(points)))
    grid = figure.subplots(len(points), 2, sharex=True, sharey=True, squeeze=False)
    for both, (title, samples) in zip(grid, points, strict=True):
        for axes, direction in zip(both, ("uplink", "downlink"), strict=True):
            _draw_direction(axes, direction, labels, samples)
            whole = f"{direction}, {title}" if title else direction
            axes.set_title(textwrap.fill(whole, 42), loc="left", fontsize=7)
        name_methods(both[0], samples)
        both[1].tick_params(axis="y", length=0)
    for axes in grid[-1]:
        axes.set_xlabel("bytes per token, log scale")
    grid[0, 0].set_xscale("symlog", linthresh=1)
    grid[0, 0].margins(x=0.12)  # for the numbers behind the bars
    grid[0, 0].set_xlim(left=0)
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False
    )
    return figure


def _draw_direction(
    axes: Axes, direction: str, labels: list[str], samples: Sequence[Sample]
) -> None:
    named = False
    for y, sample in enumerate(samples):
        mine = sample.rows
        if not mine:
            continue
        tokens = sum(row.tokens for row in mine)
        sizes = TRAFFIC[direction]
        payload, wire = (sizes[kind](mine) / tokens for kind in ("payload", "frames"))
        colour = method_style(sample.method, labels).colour
        names = ("", "") if named else ("frames", "payload")
        axes.barh(y, wire, height=0.62, color=colour, alpha=0.45, label=names[0])
        axes.barh(y, payload, height=0.3, color=colour, label=names[1])
        named = True
        axes.annotate(
            f"{wire:,.0f}" if wire else "nothing", (wire, y), xytext=(3, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
