"""How long users wait: distribution of the time from one token to the next, and of rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, drawable, few_points, legend_of, look, plain_ticks
from testbed.measures import round_seconds, token_waits
from testbed.results import Results
from testbed.traces.summary import Row

_PANELS: tuple[tuple[str, Callable[[Sequence[Row]], list[float]]], ...] = (
    ("ms to the next token", token_waits),
    ("ms of a round", round_seconds),
)
_LEAST = 1.0  # ms: what came together is drawn there


def draw(results: Results) -> Figure | None:
    """The figure, or None where times are not known, or with more points than fit."""
    rows = [row for row in drawable(results.summary().rows) if row.token_s]
    labels = list(dict.fromkeys(row.method for row in rows))
    points = few_points(rows)
    if not points:
        return None
    figure = Figure(figsize=(2 * COLUMN, 0.4 + 1.9 * len(points)))
    grid = figure.subplots(len(points), 2, sharex=True, sharey=True, squeeze=False)
    for both, (title, mine) in zip(grid, points, strict=True):
        for axes, (_, measure) in zip(both, _PANELS, strict=True):
            _draw_laws(axes, labels, mine, measure)
        both[0].set_title(title, loc="left", fontsize=7)
        both[0].set_ylabel("share within")
    for axes, (name, _) in zip(grid[-1], _PANELS, strict=True):
        axes.set_xlabel(name)
    grid[0, 0].set_xscale("log")
    plain_ticks(grid[0, 0].xaxis, steps=(1,))
    grid[0, 0].set_xlim(left=_LEAST)
    grid[0, 0].set_ylim(0, 1.02)
    legend_of(figure)
    return figure


def _draw_laws(
    axes: Axes,
    labels: list[str],
    rows: list[Row],
    measure: Callable[[Sequence[Row]], list[float]],
) -> None:
    for label in labels:
        waits = sorted(measure([row for row in rows if row.method == label]))
        if not waits:
            continue
        shown = look(label, labels)
        axes.ecdf(
            [max(_LEAST, 1000 * wait) for wait in waits], color=shown.colour, lw=1.1,
            label=shown.name, marker=shown.marker, ms=3, markevery=0.25,
        )  # fmt: skip
