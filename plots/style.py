"""Names, colours, markers and notes shared by all figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, LogFormatterMathtext, LogLocator, NullFormatter
from typing_extensions import override

from testbed.analysis.generations import (
    Point,
    Sample,
    marks_explained,
    merged,
    n_of,
    points_of,
    why_empty,
)
from testbed.output.formatting import shorten
from testbed.output.visible import in_one_line
from testbed.results.directory import Results
from testbed.scenario.sweep import namer

COLUMN = 3.5
"""Width in inches of one column of a two-column paper."""
_PER_INCH = 22  # characters of a note
PANELS = 6
"""The largest number of panels in a figure."""


@dataclass(frozen=True)
class MethodStyle:
    """Name, colour and marker of a method. Colours also differ in lightness, for grey prints."""

    name: str
    colour: str
    marker: str


_METHOD_STYLES = {
    "cloud_ar": MethodStyle("Cloud AR", "#444444", "o"),
    "device_only": MethodStyle("Device only", "#bbbbbb", "s"),
    "dsd": MethodStyle("DSD", "#4477aa", "D"),
    "dssd": MethodStyle("DSSD", "#cc6677", "^"),
    "dssd_lazy": MethodStyle("DSSD lazy", "#ee99aa", "v"),
    "dssd_lean": MethodStyle("DSSD lean", "#882255", "P"),
    "gumbel": MethodStyle("Gumbel", "#ee7733", "*"),
    "qs": MethodStyle("QS", "#117733", "X"),
    "ksqs": MethodStyle("K-SQS", "#332288", "<"),
    "csqs": MethodStyle("C-SQS", "#88ccee", ">"),
    "tslt": MethodStyle("TSLT", "#aa4499", "p"),
    "tslt_tree": MethodStyle("TSLT tree", "#999933", "h"),
}
_OTHERS = (
    ("#44bb99", "d"), ("#ddcc77", "1"), ("#661100", "2"), ("#6699cc", "3"), ("#bbcc33", "4"),
    ("#77aadd", "+"),
)  # fmt: skip


@dataclass(frozen=True)
class DirectionStyle:
    """Keywords that draw a direction of a link as a line, as marks or as small dots."""

    line: dict[str, Any]
    marks: dict[str, Any]
    dots: dict[str, Any]


def _direction(colour: str, marker: str) -> DirectionStyle:
    open_marks = {"ls": "none", "marker": marker, "color": colour, "mfc": "none"}
    return DirectionStyle(
        line={"color": colour, "lw": 1.4},
        marks={**open_marks, "ms": 5, "mew": 1.2},
        dots={**open_marks, "ms": 2.2, "mew": 0.7},
    )


DIRECTION_STYLES = {"up": _direction("#4477aa", "o"), "down": _direction("#cc6677", "s")}
"""Styles of the directions of a link."""

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
"""Names, colours and hatches of testbed.analysis.phases, in the order that they are drawn."""


def method_style(label: str, labels: list[str]) -> MethodStyle:
    """Return the style of the method `label` among all `labels` of a figure."""
    if label in _METHOD_STYLES:
        return _METHOD_STYLES[label]
    unknown = [each for each in labels if each not in _METHOD_STYLES]
    return MethodStyle(plain(label), *_OTHERS[unknown.index(label) % len(_OTHERS)])


def plain(text: str, longest: int = 200) -> str:
    """Return a text for a figure: in one line, control characters visible, shortened.

    A space is put before a leading underscore, because legends drop such labels.
    """
    shown = shorten(in_one_line(text), longest)
    return f" {shown}" if shown.startswith("_") else shown


def shown_points(results: Results) -> list[Point]:
    """Return every point of the sweep with its samples; empty where no generation counts."""
    points = points_of(results)
    return points if any(sample.rows for point in points for sample in point.samples) else []


def labels_of(points: Sequence[Point]) -> list[str]:
    """Return the labels of the methods, which are the same at every point."""
    return [sample.method for sample in points[0].samples] if points else []


def few_points(points: Sequence[Point], width: int = 90) -> list[tuple[str, list[Sample]]]:
    """Return each point's name, wrapped at `width` characters, and its samples.

    The list is empty with more points than fit into a figure.
    """
    name = namer(point.values for point in points)
    titled = [(textwrap.fill(plain(name(point.values)), width), point.samples) for point in points]
    return titled if len(titled) <= PANELS else []


def marks(label: str, labels: list[str]) -> dict[str, Any]:
    """Return the keywords of the line and the markers of a method."""
    shown = method_style(label, labels)
    return {"label": shown.name, "color": shown.colour, "marker": shown.marker, "ms": 3.5, "lw": 1}


def plain_ticks(axis: Axis, *, steps: tuple[int, ...] = (1, 2, 5)) -> None:
    """Set the ticks of a logarithmic axis: plain numbers, `steps` times the powers of ten."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def plot_means(
    axes: Axes,
    label: str,
    labels: list[str],
    means: Iterable[tuple[float, float, Sample]],
    **changes: Any,
) -> None:
    """Draw one method's means, each (x, y, sample), with a star where a suspect generation counts.

    `changes` override keywords of the line and the markers.
    """
    every = list(means)
    axes.plot([x for x, _, _ in every], [y for _, y, _ in every], **marks(label, labels) | changes)
    for x, y, sample in every:
        if sample.star:
            axes.annotate(sample.star.strip(), (x, y), xytext=(2.5, 1), textcoords="offset points")


class _PlainLog(LogFormatter):
    """Formatter of logarithmic axes: matplotlib's choice of labelled ticks, as plain numbers."""

    @override
    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def without_markup(figure: Figure) -> None:
    """Replace the markup in ticks of logarithmic axes, as `text.parse_math` is off."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(_PlainLog())
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                axis.set_minor_formatter(_PlainLog())


def legend_of(figure: Figure, points: Sequence[Point]) -> None:
    """Add one legend of the methods on the right, each with its number of generations that count.

    A method without any is in it, too, with the reason.
    """
    drawn = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels, shown = labels_of(points), {}
    for index, label in enumerate(labels):
        samples = [point.samples[index] for point in points]
        name, empty = method_style(label, labels).name, why_empty(samples)
        if name in drawn:
            shown[f"{name}{merged(samples).star} ({n_of(samples)})"] = drawn[name]
            explain_stars(figure, samples)
            if empty:
                add_note(figure, f"{name}: {empty}")
        elif not merged(samples).rows:
            shown[f"{name} ({empty})"] = Line2D([], [], ls="none")
    several = " a point" if len(points) > 1 else ""
    figure.legend(
        shown.values(), shown.keys(), loc="outside right upper", frameon=False,
        title=f"method (generations{several})", title_fontsize=7, fontsize=7, alignment="left",
    )  # fmt: skip


def applied() -> AbstractContextManager[None]:
    """Return a context with the settings of every figure."""
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
            "text.parse_math": False,  # a `$` in a label is a dollar
        }
    )


def name_of(sample: Sample, labels: list[str]) -> str:
    """Return a method's name in short lines, with a star where a suspect generation counts."""
    return textwrap.fill(shorten(method_style(sample.method, labels).name, 60), 20) + sample.star


def name_methods(axes: Axes, samples: Sequence[Sample]) -> None:
    """Put the methods on the y axis, the first on top, each with its number of generations.

    In the line of a method without any stands the reason.
    """
    labels = [sample.method for sample in samples]
    names = [f"{name_of(sample, labels)}\n{sample.n}" for sample in samples]
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    for y, sample in enumerate(samples):
        if sample.why_empty:
            axes.annotate(
                sample.why_empty, (0, y), xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=7,
            )  # fmt: skip
    assert isinstance(axes.figure, Figure)
    explain_stars(axes.figure, samples)


def explain_stars(figure: Figure, samples: Iterable[Sample]) -> None:
    """Explain, below a figure of these samples, the marks of `Sample.star` that they have."""
    for mark in marks_explained(samples):
        add_note(figure, mark)


def note_empty(figure: Figure, points: Sequence[Point]) -> None:
    """Name, below a figure without a line per method, the methods without generations."""
    labels = labels_of(points)
    for index, label in enumerate(labels):
        if empty := why_empty([point.samples[index] for point in points]):
            add_note(figure, f"{method_style(label, labels).name}: {empty}")


def wrapped(figure: Figure, text: str) -> str:
    """Return a note in lines that are no wider than the figure."""
    return textwrap.fill(text, round(_PER_INCH * figure.get_figwidth()))


def add_note(figure: Figure, text: str) -> None:
    """Write a line below a figure, unless it stands there."""
    lines = figure.get_supxlabel().splitlines()
    if text not in lines:
        figure.supxlabel("\n".join([*lines, text]), fontsize=6)
