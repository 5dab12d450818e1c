"""The main table of the page: one line per method and point of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from testbed.analysis.generations import Point
from testbed.analysis.intervals import speed
from testbed.analysis.method_table import NONE
from testbed.analysis.metrics import (
    acceptance,
    passes_per_draft,
    per_output_token,
    resampling_rate,
    tokens_per_round,
)
from testbed.output.formatting import as_yaml
from testbed.output.text_table import Table
from testbed.results.rows import Row
from testbed.results.verdict import worst

Measure = Callable[[Sequence[Row]], "float | None"]


def overview(points: Sequence[Point]) -> Table:
    """Totals over the generations that count; the verdict is theirs, too.

    A method without any has an empty line that says why.
    """
    keys = list(dict.fromkeys(key for point, _ in points for key in point))
    table = Table("verdict", *map(_in_two, keys), "\nn", *_MEASURES, first="method")
    for point, samples in points:
        for sample in samples:
            fit = sample.rows
            table.add_row(
                sample.method + sample.star,
                worst(row.verdict for row in fit) if fit else "invalid",
                *(as_yaml(point[key]) if key in point else NONE for key in keys),
                sample.why_empty or sample.n,
                *(
                    _cell(measure(fit) if fit else None, places)
                    for measure, places in _MEASURES.values()
                ),
            )
    return table


def _in_two(key: str) -> str:
    """A key in two lines, broken at the dot nearest to its middle."""
    dots = [place for place, letter in enumerate(key) if letter == "."]
    middle = min(dots, key=lambda dot: abs(dot - len(key) / 2), default=0)
    return f"{key[:middle]}\n{key[middle:]}" if middle else key


def _cell(value: float | None, places: int) -> str:
    return NONE if value is None else f"{value:,.{places if abs(value) < 1000 else 0}f}"


def _scaled(measure: Measure, factor: float) -> Measure:
    def scaled(rows: Sequence[Row]) -> float | None:
        value = measure(rows)
        return None if value is None else factor * value

    return scaled


def _per_token(name: str) -> Measure:
    return lambda rows: sum(getattr(row, name) for row in rows) / sum(row.tokens for row in rows)


_MEASURES: dict[str, tuple[Measure, int]] = {
    "tokens\n/s": (lambda rows: speed(rows).estimate, 2),
    "first\ntoken ms": (lambda rows: 1000 * sum(row.ttft_s for row in rows) / len(rows), 0),
    "ms/token\nafter it": (_scaled(per_output_token, 1000), 1),
    "tokens\n/round": (tokens_per_round, 2),
    "passes\n/draft": (passes_per_draft, 2),
    "accep-\ntance": (acceptance, 2),
    "resam-\npled %": (_scaled(resampling_rate, 100), 0),
    "bits/token\nup": (_per_token("uplink_payload_bits"), 1),
    "bits/token\ndown": (_per_token("downlink_payload_bits"), 1),
    "frames up\nB/token": (_per_token("uplink_wire_bytes"), 1),
    "frames down\nB/token": (_per_token("downlink_wire_bytes"), 1),
}
"""What is measured, and decimals."""
