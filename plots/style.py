"""Names, colours and hatches, so that every figure agrees."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from testbed.sweep import point_text
from testbed.traces.summary import Row

COLUMN = 3.5
"""Width in inches of one column of a two-column paper."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn. Colours differ in lightness too, for readers in grey."""

    name: str
    colour: str


_LOOKS = {
    "cloud_ar": Look("Cloud AR", "#444444"),
    "device_only": Look("Device only", "#bbbbbb"),
    "dsd": Look("DSD", "#4477aa"),
    "dssd": Look("DSSD", "#cc6677"),
    "dssd_lazy": Look("DSSD lazy", "#ee99aa"),
    "dssd_lean": Look("DSSD lean", "#882255"),
    "gumbel": Look("Gumbel", "#ee7733"),
    "qs": Look("QS", "#117733"),
    "ksqs": Look("K-SQS", "#332288"),
    "csqs": Look("C-SQS", "#88ccee"),
    "tslt": Look("TSLT", "#aa4499"),
    "tslt_tree": Look("TSLT tree", "#999933"),
}
_OTHERS = ("#44bb99", "#ddcc77", "#661100", "#6699cc", "#bbcc33", "#77aadd")


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


def look(label: str, labels: list[str]) -> Look:
    """How to draw the method `label` among all `labels` of a figure."""
    if label in _LOOKS:
        return _LOOKS[label]
    unknown = [each for each in labels if each not in _LOOKS]
    return Look(label, _OTHERS[unknown.index(label) % len(_OTHERS)])


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
