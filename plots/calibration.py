"""Calibration of links, a row per link: requested and measured values in each direction.

Panels: one-way delay, time of bursts, losses in a row, deliveries and changes over time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import COLUMN, DIRECTION_STYLES, plain
from testbed.calibration.result import BURSTS, NAME, Calibration, Curves
from testbed.results.directory import Results
from testbed.results.link_check import Check

_ASKED: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": "--", "zorder": 3}
_HEIGHT = 1.75  # inches of a row of panels


def draw(results: Results) -> Figure | None:
    """Return the figure, a row of panels for each link; None without a calibration."""
    if not (results.path / NAME).is_file():
        return None
    calibration = Calibration.read(results.path)
    rows = []
    for link in calibration.links:
        checks = [check for check in calibration.checks if check.link == link]
        curves = [each for each in calibration.curves if each.link == link]
        rows.append([panel for panel in _PANELS if panel.has(checks, curves)])
    width = max(map(len, rows), default=0)
    if not width:
        return None
    figure = Figure(figsize=(2 * COLUMN * width / len(_PANELS[:4]), _HEIGHT * len(rows) + 0.25))
    grid = figure.subplots(len(rows), width, squeeze=False)
    for axes_row, panels, link in zip(grid, rows, calibration.links, strict=True):
        checks = [check for check in calibration.checks if check.link == link]
        curves = [each for each in calibration.curves if each.link == link]
        for axes in axes_row[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(axes_row, panels, strict=False):
            axes.grid(visible=True, axis="both")
            panel.draw(axes, checks, curves)
            axes.set_title(panel.title, fontsize=8)
        if len(rows) > 1:
            axes_row[0].set_ylabel(f"{plain(link)}\n{axes_row[0].get_ylabel()}")
    _legend(figure, calibration)
    return figure


class _Panel:
    """A panel: its title, a test whether there is data for it, and the function that draws it."""

    def __init__(
        self,
        title: str,
        has: Callable[[list[Check], list[Curves]], bool],
        draw: Callable[[Axes, list[Check], list[Curves]], None],
    ) -> None:
        self.title = title
        self.has = has
        self.draw = draw


def _delays(axes: Axes, _checks: list[Check], curves: list[Curves]) -> None:
    for each in curves:
        shares = [(i + 0.5) / len(each.delays) for i in range(len(each.delays))]
        axes.plot([x * 1e3 for x in each.delays], shares, **DIRECTION_STYLES[each.direction].line)
        axes.plot([x * 1e3 for x in each.delays_asked], shares, **_ASKED)
    asked = [delay * 1e3 for each in curves for delay in each.delays_asked]
    beside = max(_BESIDE, (max(asked) - min(asked)) / 5)
    axes.set_xlim(min(asked) - beside, max(asked) + beside)
    axes.set_xlabel("one-way delay (ms)")
    axes.set_ylabel("share of packets")
    axes.set_ylim(0, 1)


def _of_bursts(checks: list[Check], direction: str) -> list[Check]:
    return [
        c for c in checks if c.name.startswith("burst") and c.direction == direction and c.measured
    ]


def _bursts(axes: Axes, checks: list[Check], _curves: list[Curves]) -> None:
    for direction in DIRECTION_STYLES:
        mine = [
            (size, check.requested, check.measured)
            for size, check in zip(BURSTS, _of_bursts(checks, direction), strict=False)
            if check.requested and check.measured
        ]
        if mine:
            axes.plot([n for n, _, _ in mine], [asked * 1e3 for _, asked, _ in mine], **_ASKED)
            axes.plot(
                [n for n, _, _ in mine],
                [s * 1e3 for _, _, s in mine],
                **DIRECTION_STYLES[direction].marks,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(BURSTS, [str(size) for size in BURSTS])
    axes.minorticks_off()
    axes.set_xlabel("packets in a burst")
    axes.set_ylabel("time taken (ms)")


def _runs(axes: Axes, _checks: list[Check], curves: list[Curves]) -> None:
    for each in curves:
        if not each.runs:
            continue
        lengths = range(1, len(each.runs) + 1)
        shown = [(n, share) for n, share in zip(lengths, each.runs, strict=True) if share > 0]
        axes.plot(list(lengths), each.runs_asked, **_ASKED)
        axes.plot(
            [n for n, _ in shown],
            [share for _, share in shown],
            **DIRECTION_STYLES[each.direction].marks,
        )
    axes.set_yscale("log")
    axes.set_ylim(top=1.5)
    axes.set_xlabel("packets lost in a row")
    axes.set_ylabel("share of runs")


def _changes(axes: Axes, _checks: list[Check], curves: list[Curves]) -> None:
    for each in curves:
        # Few enough steps that each can be seen.
        steps = each.changes_asked[:_STEPS]
        axes.step([t * 1e3 for t, _ in steps], [d * 1e3 for _, d in steps], where="post", **_ASKED)
        seen = [(t, d) for t, d in each.changes if steps[0][0] <= t < steps[-1][0]]
        axes.plot(
            [t * 1e3 for t, _ in seen],
            [d * 1e3 for _, d in seen],
            **DIRECTION_STYLES[each.direction].dots,
        )
    axes.set_xlabel("time sent (ms)")
    axes.set_ylabel("one-way delay (ms)")


def _deliveries(axes: Axes, _checks: list[Check], curves: list[Curves]) -> None:
    for each in curves:
        if each.deliveries:
            times = [0.5 * i for i in range(len(each.deliveries))]
            axes.step(times, [x * 0.024224 for x in each.deliveries_asked], where="post", **_ASKED)
            axes.step(
                times,
                [x * 0.024224 for x in each.deliveries],
                where="post",
                **DIRECTION_STYLES[each.direction].line,
            )
    axes.set_xlabel("time (s)")
    axes.set_ylabel("delivered (Mbit/s)")


_STEPS = 10
_BESIDE = 1.0  # ms shown on both sides of what was asked
_PANELS = [
    _Panel("delay and jitter", lambda _, curves: any(c.delays for c in curves), _delays),
    _Panel(
        "small bursts",
        lambda checks, _: any(c.name.startswith("burst") and c.measured for c in checks),
        _bursts,
    ),
    _Panel("runs of losses", lambda _, curves: any(len(c.runs) > 1 for c in curves), _runs),
    _Panel("deliveries", lambda _, curves: any(c.deliveries for c in curves), _deliveries),
    _Panel("changes", lambda _, curves: any(c.changes for c in curves), _changes),
]


def _legend(figure: Figure, calibration: Calibration) -> None:
    axes = figure.axes[0]
    handles = [axes.plot([], [], **look.marks)[0] for look in DIRECTION_STYLES.values()]
    handles.append(axes.plot([], [], **_ASKED)[0])
    figure.legend(
        handles,
        [*(f"{direction}, measured" for direction in DIRECTION_STYLES), "asked"],
        loc="outside upper center",
        ncols=3,
        frameon=False,
        title=f"{plain(calibration.source)}, links by {calibration.backend}",
        title_fontsize=8,
    )
