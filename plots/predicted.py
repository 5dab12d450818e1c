"""Tokens per second as the papers' model of a round predicts them, and as measured.

A mark per method and point of the sweep; see testbed.traces.prediction.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from plots.style import COLUMN, drawable, legend_of, marks, plain_ticks
from testbed.results import Results
from testbed.traces.summary import by_point


def draw(results: Results) -> Figure | None:
    """The figure, or None where nothing could be predicted."""
    every = drawable(results.summary().rows)
    labels = list(dict.fromkeys(row.method for row in every))
    marked: dict[str, list[tuple[float, float]]] = {}
    for label in labels:
        for _, there in by_point([row for row in every if row.method == label]):
            speeds = [row.predicted_tokens_per_second for row in there]
            if all(speeds):
                tokens = sum(row.tokens for row in there)
                seconds = sum(
                    row.tokens / speed for row, speed in zip(there, speeds, strict=True) if speed
                )
                marked.setdefault(label, []).append(
                    (tokens / seconds, tokens / sum(row.seconds for row in there))
                )
    if not marked:
        return None
    figure = Figure(figsize=(1.5 * COLUMN, 2.7))
    axes = figure.subplots()
    for label, seen in marked.items():
        axes.plot(*zip(*seen, strict=True), **{**marks(label, labels), "lw": 0, "ms": 4.5})
    ends = [value for seen in marked.values() for pair in seen for value in pair]
    line = (0.8 * min(ends), 1.25 * max(ends))
    axes.plot(line, line, color="black", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=line, ylim=line)
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis)
    axes.grid(axis="both")
    axes.set_xlabel("tokens per second, predicted")
    axes.set_ylabel("measured")
    legend_of(figure)
    return figure
