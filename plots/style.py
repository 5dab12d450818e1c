"""Names, colours and markers, so that every figure agrees."""

from __future__ import annotations

import textwrap
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from testbed.sweep import namer, point_text
from testbed.traces.summary import Row, by_point

COLUMN = 3.5
"""Width in inches of one column of a two-column paper."""
PANELS = 6
"""As many as a figure has room for."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn. Colours differ in lightness too, for readers in grey."""

    name: str
    colour: str
    marker: str


_LOOKS = {
    "cloud_ar": Look("Cloud AR", "#444444", "o"),
    "device_only": Look("Device only", "#bbbbbb", "s"),
    "dsd": Look("DSD", "#4477aa", "D"),
    "dssd": Look("DSSD", "#cc6677", "^"),
    "dssd_lazy": Look("DSSD lazy", "#ee99aa", "v"),
    "dssd_lean": Look("DSSD lean", "#882255", "P"),
    "gumbel": Look("Gumbel", "#ee7733", "*"),
    "qs": Look("QS", "#117733", "X"),
    "ksqs": Look("K-SQS", "#332288", "<"),
    "csqs": Look("C-SQS", "#88ccee", ">"),
    "tslt": Look("TSLT", "#aa4499", "p"),
    "tslt_tree": Look("TSLT tree", "#999933", "h"),
}
_OTHERS = (
    ("#44bb99", "d"), ("#ddcc77", "1"), ("#661100", "2"), ("#6699cc", "3"), ("#bbcc33", "4"),
    ("#77aadd", "+"),
)  # fmt: skip


@dataclass(frozen=True)
class WayLook:
    """How a direction of a link is drawn, as a line, as marks or as small dots."""

    line: dict[str, Any]
    marks: dict[str, Any]
    dots: dict[str, Any]


def _way(colour: str, marker: str) -> WayLook:
    open_marks = {"ls": "none", "marker": marker, "color": colour, "mfc": "none"}
    return WayLook(
        line={"color": colour, "lw": 1.4},
        marks={**open_marks, "ms": 5, "mew": 1.2},
        dots={**open_marks, "ms": 2.2, "mew": 0.7},
    )


WAYS = {"up": _way("#4477aa", "o"), "down": _way("#cc6677", "s")}
"""The directions of a link."""

PHASES = {
    "draft": "#ddcc77",
    "uplink": "#4477aa",
    "verify": "#444444",
    "downlink": "#88ccee",
}
"""Colours of the parts of a round."""

PARTS = {
    "draft": ("draft", "#ddcc77", ""),
    "encode": ("encode", "#999933", "////"),
    "serialisation": ("on air", "#4477aa", ""),
    "propagation": ("delay", "#88ccee", ""),
    "queue": ("queue", "#cc6677", "...."),
    "loss_recovery": ("loss recovery", "#882255", "xxxx"),
    "verify": ("verify", "#444444", ""),
    "decode": ("decode", "#117733", "\\\\\\\\"),
    "other": ("other", "#dddddd", ""),
}
"""Names, colours and hatches of testbed.traces.phases, in the order that they are drawn."""


def look(label: str, labels: list[str]) -> Look:
    """How to draw the method `label` among all `labels` of a figure."""
    if label in _LOOKS:
        return _LOOKS[label]
    unknown = [each for each in labels if each not in _LOOKS]
    return Look(label, *_OTHERS[unknown.index(label) % len(_OTHERS)])


def few_points(rows: list[Row], width: int = 90) -> list[tuple[str, list[Row]]]:
    """The rows of each point of the sweep, with its name in lines of so many characters.

    None where there are more points than a figure has room for.
    """
    points = by_point(rows)
    name = namer(point for point, _ in points)
    titled = [(textwrap.fill(name(point), width), mine) for point, mine in points]
    return titled if len(titled) <= PANELS else []


def marks(label: str, labels: list[str]) -> dict[str, Any]:
    """Keywords of the line and the markers of a method."""
    shown = look(label, labels)
    return {"label": shown.name, "color": shown.colour, "marker": shown.marker, "ms": 3.5, "lw": 1}


def plain_ticks(axis: Axis, *, steps: tuple[int, ...] = (1, 2, 5)) -> None:
    """Ticks of a logarithmic axis as plain numbers: these multiples of the powers of ten."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def legend_of(figure: Figure) -> None:
    """One legend of everything that has a name in some axes, on the right."""
    shown = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside right upper", frameon=False)


def applied() -> AbstractContextManager[None]:
    """The settings of every figure."""
    return mpl.rc_context(
        {
            "figure.dpi": 300,
            "figure.constrained_layout.use": True,
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.grid.axis": "x",
            "grid.color": "#e5e5e5",
            "pdf.fonttype": 42,
        }
    )


def drawable(rows: list[Row]) -> list[Row]:
    """Rows that may be shown and compared.

    Never an invalid one; and a text counts only when each method that is shown has it, from every
    device: otherwise one would be judged on other texts than the next.
    """
    fit = [row for row in rows if row.verdict != "invalid"]
    wanted = len({row.method for row in fit}) * len({row.device for row in rows})
    having = Counter((point_text(row.point), row.repeat, row.prompt) for row in fit)
    return [row for row in fit if having[point_text(row.point), row.repeat, row.prompt] == wanted]


def name_methods(axes: Axes, labels: list[str], rows: list[Row]) -> None:
    """Method names on the y axis, the first on top; a star marks methods with suspect rows."""
    suspect = {row.method for row in rows if row.verdict == "suspect"}
    names = [look(label, labels).name + (" *" if label in suspect else "") for label in labels]
    axes.set_yticks(range(len(labels)), names)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if suspect:
        explain_star(axes)


def explain_star(axes: Axes) -> None:
    """Say what a star after a method's name means."""
    axes.annotate(
        "* suspect, see verdict.json", (1, 1), xycoords="axes fraction", ha="right", fontsize=6
    )
