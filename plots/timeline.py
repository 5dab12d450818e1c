"""How the first rounds of each method spend their time: draft, uplink, verify, downlink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.style import COLUMN, PHASES, drawable, explain_star, look
from testbed.input_file import is_file
from testbed.results import Results
from testbed.traces.events import events_by_stream
from testbed.traces.summary import Row

Event = dict[str, Any]
Bars = dict[str, list[tuple[float, float]]]


def draw(results: Results) -> Figure | None:
    """The figure for the first prompt of the first repetition, or None without its events.

    Of several points of a sweep it shows the first; of several devices the first one's, and the
    verifier may have worked for others meanwhile.

    Messages are paired by their order, so texts with resends are left out.
    """
    every = drawable(results.summary().rows)
    rows = [
        row
        for row in every
        if row.prompt == row.repeat == row.resends == 0
        and row.point == every[0].point
        and row.device == every[0].device
        and _events(results, row, row.device)
    ]
    if not rows:
        return None
    labels = [row.method for row in rows]
    window = min(row.seconds for row in rows)
    verifier = results.scenario().get("verifier", "")
    figure = Figure(figsize=(2 * COLUMN, 0.8 + 0.75 * len(rows)))
    all_axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, row in zip(all_axes, rows, strict=True):
        bars, commits = _phases(results, row, verifier)
        for lane, (phase, spans) in enumerate(bars.items()):
            shown = [(start, length) for start, length in spans if start < window]
            axes.broken_barh(shown, (lane - 0.4, 0.8), color=PHASES[phase])
        axes.vlines([t for t in commits if t <= window], 3.5, 4.3, color="black", lw=0.6)
        axes.set_ylim(4.4, -0.6)
        axes.set_yticks([])
        name = look(row.method, labels).name + (" *" if row.verdict == "suspect" else "")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=4)
    if any(row.verdict == "suspect" for row in rows):
        explain_star(all_axes[0])
    all_axes[-1].set_xlim(0, window)
    all_axes[-1].set_xlabel("seconds since the prompt (ticks below: tokens are certain)")
    figure.legend(
        handles=[Patch(color=colour, label=phase) for phase, colour in PHASES.items()],
        loc="outside upper center",
        ncols=len(PHASES),
        frameon=False,
    )
    return figure


def _file(results: Results, row: Row, node: str) -> Path:
    return results.run_path(row.method, row.repeat, row.point) / f"{node}.jsonl"


def _phases(results: Results, row: Row, at: str) -> tuple[Bars, list[float]]:
    """(start, length) in seconds of every phase, and when tokens became certain.

    `at` names the verifier.
    """
    device, verifier = _events(results, row, row.device), _events(results, row, at)
    start = min(event["t"] for event in device)

    def times(events: list[Event], name: str, *messages: str) -> list[int]:
        return [
            event["t"]
            for event in events
            if event["event"] == name and event.get("message") in (messages or (None,))
        ]

    def spans(events: list[Event], *names: str) -> list[tuple[float, float]]:
        return [
            ((event["t"] - start) / 1e9, event.get("dur", 0) / 1e9)
            for event in events
            if event["event"] in names
        ]

    def flights(sent: list[int], arrived: list[int]) -> list[tuple[float, float]]:
        # Messages keep their order; the last ones sent may never have been waited for.
        return [((a - start) / 1e9, (b - a) / 1e9) for a, b in zip(sent, arrived, strict=False)]

    bars = {
        "draft": spans(device, "draft"),
        "uplink": flights(
            times(device, "send", "Open", "Round"), times(verifier, "receive", "Open", "Round")
        ),
        "verify": spans(verifier, "verify", "prefill"),
        "downlink": flights(times(verifier, "send", "Reply"), times(device, "receive", "Reply")),
    }
    return bars, [(t - start) / 1e9 for t in times(device, "commit")]


def _events(results: Results, row: Row, node: str) -> list[Event]:
    path = _file(results, row, node)
    if not is_file(path):
        return []
    since = int(row.start_s * 1e9)  # the text may have been decoded before
    return events_by_stream(path, since).get(f"{row.device}/0", [])
