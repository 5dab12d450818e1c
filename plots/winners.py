"""Map of the fastest method over the first two keys of a sweep, a panel per value of the others.

Keys that change together count as the first of them.

A cell has the colour and name of the fastest method, its speed over that of the first method, and
the number n of pairs of generations. It is hatched where the method cannot be claimed to be the
fastest, also where another has no generation that counts. At most 5 % of such figures have a false
claim; from a single repetition nothing is claimed. Methods that never ask the target generate
other texts and cannot win; a black corner marks where one of them is claimed to be faster still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon, Rectangle

from plots.style import (
    COLUMN,
    add_note,
    explain_stars,
    labels_of,
    method_style,
    note_empty,
    plain,
    shown_points,
)
from testbed.analysis.claims import claimed, p_of_fastest
from testbed.analysis.generations import Point
from testbed.analysis.intervals import speed, speed_ratio
from testbed.methods.base import method_class
from testbed.results.directory import Results
from testbed.scenario.sweep import Values, alike, axes_of, short_key

_UNSURE = "/////"
_Values = tuple[str, ...]
"""The values of all keys of the sweep at one point."""


class _Cell(NamedTuple):
    winner: str
    star: str
    """The marks of a method at this point whose generations have some, else empty."""
    ratio: float | None
    """Tokens/s over those of the first method; None without a pair of generations."""
    pairs: int
    p: float | None
    """The p of the winner being the fastest."""
    alone_p: float | None
    """The p of a method that never asks the target being faster than the winner."""
    sure: bool = False
    overtaken: bool = False
    """`sure` and `overtaken` are True where these two are claimed."""


def draw(results: Results) -> Figure | None:
    """Return the figure; None with fewer than two keys of the sweep or two methods.

    Points with different keys cannot be drawn as a map.
    """
    every = [point for point in shown_points(results) if len(point.values) > 1]
    labels = [label for label in labels_of(every) if label not in _alone(results)]
    if len(labels) < 2:
        return None
    points = [point.values for point in every]
    if not alike(points):
        return None
    keys = [group[0] for group in axes_of(points)]
    values = {key: _values(points, key) for key in keys}
    if len(keys) < 2 or any(len(values[key]) < 2 for key in keys[:2]):
        return None
    cells = _claimed(
        {
            tuple(str(point.values.get(key)) for key in keys): cell
            for point in every
            if (cell := _cell(point, labels)) is not None
        }
    )
    columns = values[keys[2]] if len(keys) > 2 else [None]
    others = [[]] if len(keys) < 4 else _combinations([values[key] for key in keys[3:]])
    wide, high = len(values[keys[0]]), len(values[keys[1]])
    figure = Figure(
        figsize=(
            max(COLUMN, 1.2 + 0.36 * wide * len(columns)),
            1.1 + (0.35 + 0.29 * high) * len(others),
        )
    )
    grid = figure.subplots(len(others), len(columns), sharex=True, sharey=True, squeeze=False)
    for line, other in zip(grid, others, strict=True):
        for axes, column in zip(line, columns, strict=True):
            beyond = [value for value in (column, *other) if value is not None]
            _draw_panel(axes, cells, (values[keys[0]], values[keys[1]]), beyond, labels)
            named = zip(keys[2:], beyond, strict=True)
            title = ", ".join(f"{short_key(k)} {v}" for k, v in named)
            axes.set_title(plain(title), fontsize=6.5)
        line[0].set_ylabel(plain(short_key(keys[1])))
    for axes in grid[-1]:
        axes.set_xlabel(plain(short_key(keys[0])))
    won = {cell.winner for cell in cells.values()}
    winners = [label for label in labels if label in won]
    handles = [Patch(color=method_style(each, labels).colour, label=method_style(each, labels).name)
               for each in winners]  # fmt: skip
    if not all(cell.sure for cell in cells.values()):
        handles.append(Patch(fc="white", ec="grey", hatch=_UNSURE, label="another may be as fast"))
    if any(cell.overtaken for cell in cells.values()):
        handles.append(Patch(color="black", label="corner: draft alone faster"))
    room = max(2, min(6, wide * len(columns) // 2))
    figure.legend(
        handles=handles, loc="outside upper center", ncols=room, frameon=False,
        fontsize=6.5, handlelength=1.2, columnspacing=1.0,
    )  # fmt: skip
    first = method_style(labels[0], labels).name
    add_note(figure, f"number: tokens/s of the fastest over those of {first}, by n pairs")
    explain_stars(figure, (sample for point in every for sample in point.samples))
    note_empty(figure, every)
    return figure


def _alone(results: Results) -> set[str]:
    """Return the labels of the methods that never ask the target."""
    written = results.scenario().get("methods", [])
    methods = [{"method": each} if isinstance(each, str) else each for each in written]
    where = str(results.path / "scenario.yaml")
    return {
        each.get("label") or each["method"]
        for each in methods
        if not method_class(each["method"], where).uses_verifier
    }


def _values(points: Sequence[Values], key: str) -> list[Any]:
    """Return the values of a key, in their order in the sweep."""
    seen: list[Any] = []
    for point in points:
        if point.get(key) not in seen:
            seen.append(point.get(key))
    return seen


def _combinations(lists: Sequence[Sequence[Any]]) -> list[list[Any]]:
    combined: list[list[Any]] = [[]]
    for values in lists:
        combined = [[*each, value] for each in combined for value in values]
    return combined


def _cell(point: Point, labels: Sequence[str]) -> _Cell | None:
    """Return the cell of a point; None where no method has a generation that counts."""
    fit = [sample for sample in point.samples if sample.rows]
    fit.sort(key=lambda sample: -speed(sample.rows).estimate)
    asking = [sample for sample in fit if sample.method in labels]
    if not asking:
        return None
    best, *others = asking
    alone = next((sample for sample in fit if sample.method not in labels), None)
    (first,) = (sample for sample in point.samples if sample.method == labels[0])
    over = speed_ratio(best.rows, first.rows)
    every = len(asking) == len(labels)
    return _Cell(
        best.method,
        next((sample.star for sample in fit if sample.star), ""),
        over.estimate if over else None,
        over.n if over else 0,
        p_of_fastest(best.rows, [sample.rows for sample in others]) if every else None,
        p_of_fastest(alone.rows, [best.rows]) if alone else None,
    )


def _claimed(cells: dict[_Values, _Cell]) -> dict[_Values, _Cell]:
    """Return the cells with their claims, corrected for the number of all claims together."""
    sure = claimed([p for cell in cells.values() for p in (cell.p, cell.alone_p)])
    return {
        values: cell._replace(sure=fastest, overtaken=overtaken)
        for (values, cell), fastest, overtaken in zip(
            cells.items(), sure[::2], sure[1::2], strict=True
        )
    }


def _draw_panel(
    axes: Axes,
    cells: dict[_Values, _Cell],
    values: tuple[Sequence[Any], Sequence[Any]],
    beyond: Sequence[Any],
    labels: list[str],
) -> None:
    for x, first in enumerate(values[0]):
        for y, second in enumerate(values[1]):
            cell = cells.get(tuple(map(str, (first, second, *beyond))))
            if cell is None:
                continue
            style = method_style(cell.winner, labels)
            colour = style.colour
            ratio = "–" if cell.ratio is None else f"{cell.ratio:.1f}"
            dark = sum(to_rgb(colour)) < 1.5
            axes.add_patch(
                Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, fc=colour, ec="white", lw=0.5,
                    hatch=None if cell.sure else _UNSURE,
                )
            )  # fmt: skip
            axes.text(
                x, y, f"{style.name}{cell.star}\n{ratio}\nn {cell.pairs}",
                ha="center", va="center", fontsize=4, color="white" if dark else "black",
                bbox={"fc": colour, "ec": "none", "pad": 0.6},
            )  # fmt: skip
            if cell.overtaken:
                corner = [(x + 0.5, y + 0.5), (x + 0.3, y + 0.5), (x + 0.5, y + 0.25)]
                axes.add_patch(Polygon(corner, color="black"))
    axes.set_xticks(
        range(len(values[0])), [plain(str(v), 20) for v in values[0]], rotation=60, fontsize=6
    )
    axes.set_yticks(range(len(values[1])), [plain(str(v), 20) for v in values[1]], fontsize=6)
    axes.set_xlim(-0.5, len(values[0]) - 0.5)
    axes.set_ylim(-0.5, len(values[1]) - 0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
