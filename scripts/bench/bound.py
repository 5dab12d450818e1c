#!/usr/bin/env python3
"""Measures how close rounds come to what links and compute allow.

    python scripts/bench/bound.py

On an otherwise idle machine; takes about three minutes. Both models are paced, and the links lose
nothing. For each method on each of 12 links: seconds measured over those of
testbed.analysis.phases' BOUND, which are what was computed, the bytes of all messages at the rates
asked for, and the delays asked for. Exits with 1 when a limit is not met, and prints all ratios.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from limits import BenchResult, command
from rich.console import Console
from rich.table import Table

from testbed.analysis.metrics import slowdown_vs_bound
from testbed.experiment.launcher import launch
from testbed.results.rows import Row
from testbed.scenario.load import load_scenario

RATES = ("1mbit", "5mbit", "20mbit", "100mbit")
DELAYS = ("1ms", "10ms", "40ms")
METHODS = ("cloud_ar", "dssd", "dssd_lean", "ksqs", "tslt")
MEDIAN, WORST = 1.05, 1.15


def bench_grid() -> Iterator[BenchResult]:
    """One run of all methods at each point."""
    direction = {"queue": "1MiB"}
    scenario: dict[str, Any] = {
        "name": "bench_bound",
        "topology": "edge",
        "verifier": "base_station",
        "links": {"radio": {"up": direction, "down": direction}},
        "models": {"synthetic": {"vocabulary_size": 5000, "acceptance": 0.8}},
        "compute": {
            "draft": {"per_pass": "8ms", "per_token": "0.2ms"},
            "target": {"per_pass": "30ms", "per_token": "0.5ms"},
        },
        "decoding": {"temperature": 1.0, "max_new_tokens": 32, "ignore_eos": True},
        "methods": list(METHODS),
        "prompts": ["any text"],
        "backend": "relay",
        "sweep": [
            {f"links.radio.{direction}.{key}": value for direction in ("up", "down")
             for key, value in (("rate", rate), ("delay", delay))}
            for rate in RATES
            for delay in DELAYS
        ],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scenario.yaml")
        path.write_text(yaml.safe_dump(scenario))
        results = launch(load_scenario(path), Path(folder))[0]
        rows, verdict = results.summary().rows, results.verdict()
    ratios = {place: ratio for row in rows if (ratio := slowdown_vs_bound([row]))
              for place in [(_link(row), row.method)]}  # fmt: skip
    table = Table("link", *METHODS, box=None)
    for link in dict.fromkeys(link for link, _ in ratios):
        table.add_row(link, *(f"{ratios.get((link, method), float('nan')):.3f}"
                              for method in METHODS))  # fmt: skip
    Console().print(table)
    invalid = sum(row.verdict == "invalid" for row in rows)
    yield BenchResult("runs that are not valid", invalid, 0, "", "; ".join(verdict.reasons[:1]))
    yield BenchResult(
        "round time over its bound, median", statistics.median(ratios.values()), MEDIAN, ""
    )
    worst = max(ratios, key=lambda place: ratios[place])
    yield BenchResult("the same, worst", ratios[worst], WORST, "", " ".join(worst))


def _link(row: Row) -> str:
    return f"{row.point['links.radio.up.rate']}, {row.point['links.radio.up.delay']}"


if __name__ == "__main__":
    command(__doc__, {"grid": bench_grid})
