"""The final table: one line per method, means over its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from testbed.results import Results
from testbed.traces.summary import Row
from testbed.traces.verdict import worst


def print_results(results: Results) -> None:
    """Print table, verdict and reasons of a results directory."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(method_table(results.summary().rows))
    verdict = results.verdict()
    console.print(f"verdict: {verdict.level}", highlight=False)
    for reason in verdict.reasons:
        console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def method_table(rows: list[Row]) -> Table:
    """One line per method in the order they ran.

    Speeds and per-token figures are totals over all texts, not means of ratios.
    """
    table = Table(box=SIMPLE, header_style="bold")
    table.add_column("\n\nmethod", no_wrap=True)
    for header in (
        "\n\ntokens/s",
        "first\ntoken\ns",
        "tokens\nper\nround",
        "accept-\nance\nrate",
        "uplink\npayload\nB/token",
        "uplink\nframes\nB/token",
        "downlink\npayload\nB/token",
        "downlink\nframes\nB/token",
        "device\ncompute\nms/token",
        "verifier\ncompute\nms/token",
        "\nnetwork\nms/token",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("\n\nverdict", no_wrap=True)
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        total = _totals(mine)
        tokens = total(lambda row: row.tokens)
        drafted = total(lambda row: row.drafted)
        accepted = total(lambda row: row.accepted)
        tested = total(lambda row: row.accepted + row.rejected_rounds)
        table.add_row(
            method,
            f"{tokens / total(lambda row: row.seconds):.2f}",
            f"{total(lambda row: row.ttft_s) / len(mine):.2f}",
            f"{tokens / total(lambda row: row.rounds):.2f}" if drafted else "–",
            f"{accepted / tested:.2f}" if tested else "–",
            _size(total(lambda row: row.uplink_payload_bits) / 8 / tokens),
            _size(total(lambda row: row.uplink_wire_bytes) / tokens),
            _size(total(lambda row: row.downlink_payload_bits) / 8 / tokens),
            _size(total(lambda row: row.downlink_wire_bytes) / tokens),
            f"{total(lambda row: row.device_compute_s) / tokens * 1000:.0f}",
            f"{total(lambda row: row.verifier_compute_s) / tokens * 1000:.0f}",
            f"{total(lambda row: row.network_s) / tokens * 1000:.0f}",
            worst(row.verdict for row in mine),
        )
    return table


def _size(value: float) -> str:
    """Bytes with a decimal where it says something."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _totals(rows: Iterable[Row]) -> Callable[[Callable[[Row], float]], float]:
    rows = list(rows)
    return lambda value: sum(value(row) for row in rows)
