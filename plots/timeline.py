"""Timeline of the first rounds of each method, in seconds: draft, uplink, verify, downlink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.style import COLUMN, PHASES, add_note, explain_stars, name_of, shown_points
from testbed.analysis.generations import Sample
from testbed.events import events_by_stream
from testbed.files.input_file import is_file
from testbed.results.directory import Results
from testbed.results.rows import Row

Event = dict[str, Any]
Bars = dict[str, list[tuple[float, float]]]


def draw(results: Results) -> Figure | None:
    """Return the figure for one prompt in one repetition; None without its events.

    It is the first prompt that counts for most methods, at the first point of the sweep with a
    generation that counts, on the first device. The verifier may have served other devices
    meanwhile.

    Messages are paired by their order, so generations with resends are left out.
    """
    points = shown_points(results)
    if not points:
        return None
    samples = next(each.samples for each in points if any(sample.rows for sample in each.samples))
    labels = [sample.method for sample in samples]
    repeat, prompt, rows = _chosen(results, samples)
    if not rows:
        return None
    window = min(row.seconds for row in rows.values())
    verifier = results.scenario().get("verifier", "")
    figure = Figure(figsize=(2 * COLUMN, 0.8 + 0.75 * len(samples)))
    all_axes = figure.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
    which = f"prompt {prompt + 1}, repetition {repeat + 1}"
    for axes, sample in zip(all_axes, samples, strict=True):
        axes.set_ylim(4.4, -0.6)
        axes.set_yticks([])
        row = rows.get(sample.method)
        shown = Sample(sample.method, [row] if row else [])
        axes.set_ylabel(name_of(shown, labels), rotation=0, ha="right", va="center", labelpad=4)
        explain_stars(figure, [shown])
        if row is None:
            axes.text(
                0.01, 0.5, sample.why_empty or f"nothing to show of {which}",
                transform=axes.transAxes, va="center", fontsize=7,
            )  # fmt: skip
            continue
        bars, commits = _phases(results, row, verifier)
        for lane, (phase, spans) in enumerate(bars.items()):
            near = [(start, length) for start, length in spans if start < window]
            axes.broken_barh(near, (lane - 0.4, 0.8), color=PHASES[phase])
        axes.vlines([t for t in commits if t <= window], 3.5, 4.3, color="black", lw=0.6)
    all_axes[-1].set_xlim(0, window)
    all_axes[-1].set_xlabel("seconds since the prompt (ticks below: tokens are committed)")
    add_note(figure, f"one generation of each method: {which}")
    figure.legend(
        handles=[Patch(color=colour, label=phase) for phase, colour in PHASES.items()],
        loc="outside upper center",
        ncols=len(PHASES),
        frameon=False,
    )
    return figure


def _chosen(results: Results, samples: Sequence[Sample]) -> tuple[int, int, dict[str, Row]]:
    """Choose a repetition and a prompt; return both and their rows with events, by method."""
    device = next(row.device for sample in samples for row in sample.rows)
    rows = [
        row
        for sample in samples
        for row in sample.rows
        if row.device == device
        and row.traffic.resends == 0
        and is_file(_file(results, row, device))
    ]
    having = Counter((row.repeat, row.prompt) for row in rows)
    repeat, prompt = min(having, key=lambda each: (-having[each], each), default=(0, 0))
    return (
        repeat,
        prompt,
        {
            row.method: row
            for row in rows
            if (row.repeat, row.prompt) == (repeat, prompt) and _events(results, row, device)
        },
    )


def _file(results: Results, row: Row, node: str) -> Path:
    return results.run_path(row.method, row.repeat, row.point) / f"{node}.jsonl"


def _phases(results: Results, row: Row, at: str) -> tuple[Bars, list[float]]:
    """Return (start, length) in seconds of every phase, and the times of commits.

    `at` is the verifier's name.
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
        # Messages keep their order; the last ones sent need not have been received.
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
    since = int(row.start_s * 1e9)  # the prompt may have been decoded before
    return events_by_stream(path, since).get(f"{row.device}/0", [])
