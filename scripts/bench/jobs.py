#!/usr/bin/env python3
"""Measures what `--jobs` saves, and that it changes nothing else.

    python scripts/bench/jobs.py

On an otherwise idle machine with two processors or more; takes about seven minutes. A sweep of
eight points with paced synthetic models runs point by point, then with two jobs. Prints how many
times as fast the second was, how many texts differ, and how many rows are not valid in either;
exits with 1 when a limit is not met.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from limits import BenchResult, command

from testbed.experiment.launcher import launch
from testbed.results.directory import Results
from testbed.scenario.load import load_scenario

JOBS = 2
FASTER = 1.8
SCENARIO = {
    "name": "bench_jobs",
    "topology": "edge",
    "verifier": "base_station",
    "links": {
        "radio": {
            "up": {"rate": "20mbit", "delay": "20ms"},
            "down": {"rate": "20mbit", "delay": "20ms"},
        }
    },
    "models": {"synthetic": {"vocabulary_size": 2000, "acceptance": 0.8}},
    "compute": {
        "draft": {"per_pass": "5ms", "per_token": "0"},
        "target": {"per_pass": "30ms", "per_token": "0"},
    },
    "decoding": {"temperature": 1.0, "max_new_tokens": 128},
    "methods": ["dsd", "dssd"],
    "prompts": ["one", "two", "three"],
    "backend": "relay",
    "capture": True,
    "sweep": {
        "links.radio.up.rate": ["5mbit", "10mbit", "20mbit", "40mbit"],
        "models.synthetic.acceptance": [0.6, 0.9],
    },
}


def bench_jobs() -> Iterator[BenchResult]:
    """Yield the same sweep, with one job and with several."""
    with tempfile.TemporaryDirectory() as folder:
        alone, alone_s = run(Path(folder), 1)
        side_by_side, side_by_side_s = run(Path(folder), JOBS)
        ratio = alone_s / side_by_side_s
        note = f"{alone_s:.0f} s and {side_by_side_s:.0f} s"
        yield BenchResult(
            f"{JOBS} jobs, as fast as one", ratio, FASTER, "times", note, at_least=True
        )
        differ = set(texts(alone)) ^ set(texts(side_by_side))
        note = f"of {len(texts(alone))}"
        yield BenchResult("texts that differ or are missing", len(differ), 0, "", note)
        for name, results in (("1 job", alone), (f"{JOBS} jobs", side_by_side)):
            rows = results.summary().rows
            bad = [row for row in rows if row.verdict != "valid"]
            reasons = results.verdict().reasons
            note = f"of {len(rows)}; {results.verdict().level} {reasons[0] if reasons else ''}"
            yield BenchResult(f"{name}, rows that are not valid", len(bad), 0, "", note)
            again = sum(row.redecodes for row in rows)
            yield BenchResult(f"{name}, generations decoded again", again, None, "")


def run(folder: Path, jobs: int) -> tuple[Results, float]:
    """Return the results, and the seconds that all of it took."""
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(SCENARIO))
    began = time.monotonic()
    results, _ = launch(load_scenario(path), folder, jobs)
    return results, time.monotonic() - began


def texts(results: Results) -> list[tuple[str, ...]]:
    """Return the tokens of each generation, with its method and prompt."""
    return [
        (str(row.point), row.method, str(row.prompt), row.output_sha256)
        for row in results.summary().rows
    ]


if __name__ == "__main__":
    command(__doc__, {"jobs": bench_jobs})
