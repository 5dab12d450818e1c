"""What a token costs on the uplink against how often drafts are accepted; a mark per method and
point of the sweep."""

from __future__ import annotations

from matplotlib.figure import Figure

from plots.style import COLUMN, drawable, legend_of, marks
from testbed.results import Results
from testbed.traces.summary import by_point


def draw(results: Results) -> Figure | None:
    """The figure, or None where nothing was tested."""
    rows = [row for row in drawable(results.summary().rows) if row.tested]
    labels = list(dict.fromkeys(row.method for row in rows))
    if not labels:
        return None
    figure = Figure(figsize=(1.5 * COLUMN, 2.5))
    axes = figure.subplots()
    for label in labels:
        seen = []
        for _, there in by_point([row for row in rows if row.method == label]):
            bits = sum(row.uplink_payload_bits for row in there)
            seen.append(
                (
                    bits / sum(row.tokens for row in there),
                    sum(row.accepted for row in there) / sum(row.tested for row in there),
                )
            )
        axes.plot(*zip(*seen, strict=True), **{**marks(label, labels), "lw": 0, "ms": 4.5})
    axes.set_xscale("log")
    axes.grid(axis="both")
    axes.set_ylim(top=1.02)
    axes.set_xlabel("uplink payload, bits per token")
    axes.set_ylabel("acceptance rate")
    legend_of(figure)
    return figure
