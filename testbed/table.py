"""The final tables: one line per method, all its texts together."""

from __future__ import annotations

from collections.abc import Callable

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from testbed.results import Results
from testbed.traces.summary import Row, together_speed
from testbed.traces.verdict import worst


def print_results(results: Results) -> None:
    """Print tables, verdict and reasons of a results directory."""
    console = Console()
    rows = results.summary().rows
    if rows:
        console.print(speed_table(rows))
        if len({row.device for row in rows}) > 1:
            console.print(devices_table(rows))
        console.print(traffic_table(rows))
    verdict = results.verdict()
    console.print(f"verdict: {verdict.level}", highlight=False)
    for reason in verdict.reasons:
        console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def speed_table(rows: list[Row]) -> Table:
    """Speed, acceptance and where the time went; totals over all texts, not means of ratios.

    Where several devices decode at the same time, all of it is as one of them sees it.
    """
    table = _table(
        "tokens\n/s",
        "first\ntok. ms",
        "tokens\n/round",
        "accep-\ntance",
        "device\nms/tok",
        "verif.\nms/tok",
        "netw.\nms/tok",
        "\nverdict",
    )
    for method, mine in _by_method(rows):
        tokens = sum(row.tokens for row in mine)
        accepted = sum(row.accepted for row in mine)
        tested = sum(row.tested for row in mine)
        drafted = sum(row.drafted for row in mine)

        def per_token(seconds: Callable[[Row], float], mine: list[Row] = mine) -> str:
            return f"{sum(map(seconds, mine)) / sum(row.tokens for row in mine) * 1000:.1f}"

        table.add_row(
            method,
            f"{_speed(mine):.2f}",
            f"{sum(row.ttft_s for row in mine) / len(mine) * 1000:.0f}",
            f"{tokens / sum(row.rounds for row in mine):.2f}" if drafted else "–",
            f"{accepted / tested:.2f}" if tested else "–",
            per_token(lambda row: row.device_compute_s),
            per_token(lambda row: row.verifier_compute_s),
            per_token(lambda row: row.network_s),
            worst(row.verdict for row in mine),
        )
    return table


def devices_table(rows: list[Row]) -> Table:
    """Tokens per second of devices that decode at the same time: together, and one by one."""
    table = _table(
        "\ndevices", "\ntogether", "slowest\ndevice", "fastest\ndevice", first="tokens/s\nof"
    )
    for method, mine in _by_method(rows):
        names = dict.fromkeys(row.device for row in mine)
        speeds = [_speed([row for row in mine if row.device == name]) for name in names]
        shown = (together_speed(mine), min(speeds), max(speeds))
        table.add_row(method, str(len(names)), *(f"{speed:.2f}" for speed in shown))
    return table


def traffic_table(rows: list[Row]) -> Table:
    """Bytes per token: what the codec wrote, what ZeroMQ was given, what crossed the radio link."""
    table = _table(
        "up\npayload", "up\nmessages", "up\nframes",
        "down\npayload", "down\nmessages", "down\nframes",
        first="bytes\nper token",
    )  # fmt: skip
    for method, mine in _by_method(rows):
        tokens = sum(row.tokens for row in mine)
        table.add_row(
            method,
            *(
                _size(sum(getattr(row, f"{way}_{kind}") for row in mine) / unit / tokens)
                for way in ("uplink", "downlink")
                for kind, unit in (("payload_bits", 8), ("message_bytes", 1), ("wire_bytes", 1))
            ),
        )
    return table


def _table(*headers: str, first: str = "\nmethod") -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _by_method(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of each method, methods in the order they ran."""
    labels = dict.fromkeys(row.method for row in rows)
    return [(label, [row for row in rows if row.method == label]) for label in labels]


def _speed(rows: list[Row]) -> float:
    return sum(row.tokens for row in rows) / sum(row.seconds for row in rows)


def _size(value: float) -> str:
    """Bytes, with a decimal where it says something."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
