"""Milliseconds per token by method and phase, those of the bound of links and compute first."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.style import COLUMN, PARTS, few_points, labels_of, name_methods, shown_points
from testbed.analysis.generations import Sample
from testbed.analysis.metrics import phase_seconds, slowdown_vs_bound
from testbed.analysis.phases import BOUND
from testbed.results.directory import Results

_PHASES = sorted(PARTS, key=lambda phase: phase not in BOUND)
"""Phases in the order in which they are drawn: first those of the bound."""


def draw(results: Results) -> Figure | None:
    """Return the figure; None where phases are not known, or with more points than fit."""
    every = shown_points(results)
    labels, points = labels_of(every), few_points(every)
    if not any(row.phases for _, samples in points for each in samples for row in each.rows):
        return None
    figure = Figure(figsize=(2 * COLUMN, 1.0 + 0.34 * len(labels) * len(points)))
    all_axes = figure.subplots(len(points), 1, squeeze=False)[:, 0]
    for axes, (title, samples) in zip(all_axes, points, strict=True):
        _draw_point(axes, samples)
        axes.set_title(title, loc="left", fontsize=7)
    all_axes[-1].set_xlabel("ms per token (number: time vs bound of links and compute)")
    figure.legend(
        [Patch(fc=PARTS[each][1], ec="white", lw=0, hatch=PARTS[each][2]) for each in _PHASES],
        [PARTS[each][0] for each in _PHASES],
        loc="outside upper center", ncols=5, frameon=False, handlelength=1.2,
    )  # fmt: skip
    return figure


def _draw_point(axes: Axes, samples: Sequence[Sample]) -> None:
    for y, sample in enumerate(samples):
        if not sample.rows:
            continue
        seconds, ratio = phase_seconds(sample.rows), slowdown_vs_bound(sample.rows)
        left, said = 0.0, "not known" if seconds is None else ""
        if seconds is not None:
            tokens = sum(row.tokens for row in sample.rows)
            for phase in _PHASES:
                _, colour, hatch = PARTS[phase]
                # Flights that jitter made shorter than asked for have a negative queue.
                width = max(0.0, 1000 * seconds[phase] / tokens)
                axes.barh(
                    y, width, left=left, height=0.65, color=colour, hatch=hatch,
                    edgecolor="white", lw=0,
                )  # fmt: skip
                left += width
        axes.annotate(
            said if ratio is None else f"{ratio:.2f}",
            (left, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
        )
    name_methods(axes, samples)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
