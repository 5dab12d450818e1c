"""Where the time went: milliseconds per token by method, what links and compute ask for first."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, PARTS, drawable, few_points, name_methods
from testbed.measures import over_bound, phase_seconds
from testbed.results import Results
from testbed.traces.phases import BOUND
from testbed.traces.summary import Row


def draw(results: Results) -> Figure | None:
    """The figure, or None where phases are not known, or with more points than fit."""
    rows = [row for row in drawable(results.summary().rows) if row.phases]
    labels = list(dict.fromkeys(row.method for row in rows))
    points = few_points(rows)
    if not points:
        return None
    figure = Figure(figsize=(2 * COLUMN, 1.0 + 0.3 * len(labels) * len(points)))
    all_axes = figure.subplots(len(points), 1, squeeze=False)[:, 0]
    for axes, (title, mine) in zip(all_axes, points, strict=True):
        _draw_point(axes, labels, mine)
        axes.set_title(title, loc="left", fontsize=7)
    all_axes[-1].set_xlabel("ms per token (number: times as long as links and compute allow)")
    figure.legend(
        *all_axes[0].get_legend_handles_labels(),
        loc="outside upper center", ncols=5, frameon=False, handlelength=1.2,
    )  # fmt: skip
    return figure


def _draw_point(axes: Axes, labels: list[str], rows: list[Row]) -> None:
    for y, label in enumerate(labels):
        mine = [row for row in rows if row.method == label]
        seconds, ratio = phase_seconds(mine), over_bound(mine)
        if not mine or seconds is None:
            continue
        tokens, left = sum(row.tokens for row in mine), 0.0
        order = sorted(PARTS, key=lambda phase: phase not in BOUND)
        for phase in order:
            name, colour, hatch = PARTS[phase]
            # Shorter flights than asked for, by jitter, leave nothing for a queue.
            width = max(0.0, 1000 * seconds[phase] / tokens)
            axes.barh(
                y, width, left=left, height=0.65, color=colour, hatch=hatch, edgecolor="white",
                lw=0, label=name if y == 0 else None,
            )  # fmt: skip
            left += width
        axes.annotate(
            "" if ratio is None else f"{ratio:.2f}",
            (left, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
        )
    name_methods(axes, labels, rows)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
