"""Committed tokens, rate of a link, bytes in it and dropped packets over time, in seconds.

The run is that of the first point of the sweep whose relay's link carried most bytes; the link is
the device's first, in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.style import (
    COLUMN,
    DIRECTION_STYLES,
    explain_stars,
    labels_of,
    name_of,
    note_empty,
    plain,
    shown_points,
)
from testbed.analysis.generations import Point, Sample
from testbed.audit.packet_logs import read_packets
from testbed.emulation.packet_log import DIRECTIONS, ChangeLine, Header, PacketLine, packet_log_path
from testbed.files.input_file import is_file
from testbed.links.spec import LinkSpec
from testbed.results.directory import Results
from testbed.results.rows import Row

_BINS = 120  # over all the time


def draw(results: Results) -> Figure | None:
    """Return the figure; None where no relay kept a log."""
    points = shown_points(results)
    point = next((point for point in points if _rows(point)), None)
    logged = [row for row in _rows(point) if _logs(results, row)] if point else []
    if not point or not logged:
        return None
    first = max(logged, key=lambda row: row.uplink_wire_bytes + row.downlink_wire_bytes)
    run = Sample(
        first.method,
        [
            row for sample in point.samples for row in sample.every
            if (row.method, row.repeat) == (first.method, first.repeat)
        ],
    )  # fmt: skip
    rows = run.rows
    start = min(row.start_s for row in rows)
    end = max(row.start_s + row.seconds for row in rows)
    figure = Figure(figsize=(2 * COLUMN, 4.2))
    tokens, rate, queue = figure.subplots(3, 1, sharex=True)
    _draw_tokens(tokens, rows, start)
    link = next(iter(first.links))
    for direction in DIRECTIONS:
        path = packet_log_path(_folder(results, first), link, direction)
        _draw_direction((rate, queue), path, direction, (start, end))
    name = name_of(run, labels_of(points))
    title = f"{name}, link {plain(link)}, repetition {first.repeat + 1} ({run.n} generations)"
    tokens.set_title(title, loc="left")
    tokens.set_ylabel("tokens")
    rate.set_ylabel("Mbit/s")
    queue.set_ylabel("kB in the link")
    queue.set_xlabel("seconds (crosses: packets that were dropped)")
    queue.set_xlim(0, end - start)
    for axes in (rate, queue):
        axes.set_ylim(bottom=0)
    rate.legend(loc="upper right", ncols=2, fontsize=6, frameon=False)
    explain_stars(figure, [run])
    note_empty(figure, [point])
    return figure


def _rows(point: Point) -> list[Row]:
    return [row for sample in point.samples for row in sample.rows]


def _folder(results: Results, row: Row) -> Path:
    return results.run_path(row.method, row.repeat, row.point)


def _logs(results: Results, row: Row) -> bool:
    """Return True if a relay logged both directions of the generation's first link.

    A generation without bytes has nothing to show.
    """
    links = [link for link in row.links if row.links[link].up_bytes]
    return bool(links) and all(
        is_file(packet_log_path(_folder(results, row), next(iter(row.links)), direction))
        for direction in DIRECTIONS
    )


def _draw_tokens(axes: Axes, rows: Sequence[Row], start: float) -> None:
    times = sorted(row.start_s - start + seconds for row in rows for seconds in row.token_s)
    axes.step([0, *times], range(len(times) + 1), where="post", color="black", lw=1)
    axes.set_ylim(bottom=0)


def _draw_direction(
    both: tuple[Axes, Axes], path: Path, direction: str, window: tuple[float, float]
) -> None:
    """Draw one direction: rate in each bin, rate asked for, bytes in the link, and drops."""
    (rate, queue), (start, end) = both, window
    left, steps, drops = [], [], []
    asked: list[tuple[float, float]] = []
    for line in read_packets(path):
        if isinstance(line, Header | ChangeLine):
            written = line.spec.get("rate")
            if isinstance(written, str) and written != "unlimited":
                read = LinkSpec.parse_fields({"rate": written}, f"{path}: spec")["rate"]
                asked.append((line.t / 1e9 - start, read / 1e6))
        elif isinstance(line, PacketLine):
            arrived = line.arrived / 1e9 - start
            if line.left is None or line.due is None:
                drops.append(arrived)
                continue
            left.append((line.left / 1e9 - start, 8 * line.size / 1e6))
            steps += [(arrived, line.size), (line.left / 1e9 - start, -line.size)]
    if not left:
        return
    style = DIRECTION_STYLES[direction]
    width = (end - start) / _BINS
    carried, edges = np.histogram(
        [t for t, _ in left], _BINS, (0, end - start), weights=[bits for _, bits in left]
    )
    rate.stairs(carried / width, edges, label=direction, **style.line)
    if asked:
        times = [max(0.0, t) for t, _ in asked] + [end - start]
        rates = [value for _, value in asked]
        rate.step(times, [*rates, rates[-1]], where="post", ls=":", label=f"{direction}, asked",
                  **style.line)  # fmt: skip
    steps.sort()
    waiting = [size / 1e3 for size in accumulate(size for _, size in steps)]
    queue.step([t for t, _ in steps], waiting, where="post", **style.line)
    seen = [t for t in drops if 0 <= t <= end - start]
    if seen:  # the layout would reserve space even for an empty list of crosses
        queue.plot(seen, [0] * len(seen), "x", color=style.line["color"], ms=4, clip_on=False)
