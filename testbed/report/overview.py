"""The main table of the page: one line per method and point of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from testbed.analysis.generations import Point
from testbed.analysis.intervals import speed
from testbed.analysis.method_table import NONE, header_of_n
from testbed.analysis.metrics import (
    TRAFFIC,
    acceptance,
    mean_acceptance_length,
    passes_per_draft,
    resampling_rate,
    time_per_output_token,
)
from testbed.output.formatting import as_yaml
from testbed.output.text_table import Column, Table
from testbed.results.rows import Row
from testbed.results.verdict import worst

Measure = Callable[[Sequence[Row]], "float | None"]


def overview(points: Sequence[Point]) -> Table:
    """Return the main table: metrics and worst verdict of the generations that count.

    A method without any has an empty line that says why.
    """
    n = header_of_n(sample for _, samples in points for sample in samples)
    keys = list(dict.fromkeys(key for point, _ in points for key in point))
    table = Table("verdict", *keys, n, *_MEASURES, first="method")
    for point, samples in points:
        for sample in samples:
            fit = sample.rows
            table.add_row(
                sample.method + sample.star,
                worst(row.verdict for row in fit) if fit else "invalid",
                *(as_yaml(point[key]) if key in point else NONE for key in keys),
                sample.why_empty or sample.n,
                *(
                    _cell(measure(fit) if fit else None, decimals)
                    for measure, decimals in _MEASURES.values()
                ),
            )
    return table


def _cell(value: float | None, decimals: int) -> str:
    return NONE if value is None else f"{value:,.{decimals if abs(value) < 1000 else 0}f}"


def _scaled(measure: Measure, factor: float) -> Measure:
    def scaled(rows: Sequence[Row]) -> float | None:
        value = measure(rows)
        return None if value is None else factor * value

    return scaled


def _per_token(total: Measure, factor: float = 1) -> Measure:
    return _scaled(lambda rows: (total(rows) or 0.0) / sum(row.tokens for row in rows), factor)


_MEASURES: dict[Column, tuple[Measure, int]] = {
    Column("speed", "tokens/s"): (lambda rows: speed(rows).estimate, 2),
    Column("TTFT", "ms"): (lambda rows: 1000 * sum(row.ttft_s for row in rows) / len(rows), 0),
    Column("TPOT", "ms"): (_scaled(time_per_output_token, 1000), 1),
    Column("mean acceptance length", "tokens"): (mean_acceptance_length, 2),
    Column("passes", "/draft"): (passes_per_draft, 2),
    Column("acceptance"): (acceptance, 2),
    Column("resampled", "%"): (_scaled(resampling_rate, 100), 0),
    Column("payload up", "bits/token"): (_per_token(TRAFFIC["uplink"]["payload"], 8), 1),
    Column("payload down", "bits/token"): (_per_token(TRAFFIC["downlink"]["payload"], 8), 1),
    Column("frames up", "B/token"): (_per_token(TRAFFIC["uplink"]["frames"]), 1),
    Column("frames down", "B/token"): (_per_token(TRAFFIC["downlink"]["frames"]), 1),
}
"""Each column's metric, and its decimals below 1000."""
