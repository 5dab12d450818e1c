#!/usr/bin/env python3
"""Measures the emulation of other hardware against its limits.

    python scripts/bench/pace.py [--only pace,dilation]

On an otherwise idle machine. Each benchmark prints what it measured, the limit, and the ratio of
the two; exits with 1 when a limit is not met.

pace        how late paced passes end, by their own trace, at several paces
dilation    tokens/s in emulated time of one paced scenario at several dilations, against the
            fastest of them; the models are synthetic, the processes and the relay are real. What
            programs take themselves, some ms a round, is in real time, and makes the difference
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from limits import BenchResult, command

from testbed.events import Tracer, read_events
from testbed.experiment.launcher import launch
from testbed.host.realtime import exact_timers
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import Passes
from testbed.models.synthetic import SyntheticModel
from testbed.results.verdict import worst
from testbed.scenario.load import load_scenario

PACES = (Pace(1e-3, 0.1e-3), Pace(5.95e-3, 0.1e-3), Pace(9.59e-3, 0.0969e-3), Pace(29e-3, 0.351e-3))
"""A fast draft, and those of the Jetson, of one A100 and of four
(testbed.models.compute.profiles)."""
PASSES, WARM = 300, 20  # those counted, and those before
BLOCK = 5  # tokens of every second pass, as in a verification
MEDIAN, P99 = 0.2, 1.0  # ms

DILATIONS = (1, 2, 5, 10)
APART = 0.03
SCENARIO = {
    "name": "bench_dilation",
    "topology": "edge",
    "verifier": "base_station",
    "links": {
        "radio": {
            "up": {"rate": "15mbit", "delay": "43ms"},
            "down": {"rate": "30mbit", "delay": "43ms"},
        }
    },
    "models": {"synthetic": {"vocabulary_size": 1000, "acceptance": 0.8}},
    "compute": {
        "draft": {"profile": "pi5_qwen25_05b"},
        "target": {"profile": "a100x4_llama2_70b"},
    },
    "decoding": {"temperature": 1.0, "max_new_tokens": 48},
    "methods": ["dssd"],
    "prompts": ["any text"],
    "repeat": 2,
    "backend": "relay",
    "sweep": {"time_dilation": list(DILATIONS)},
}


def bench_pace() -> Iterator[BenchResult]:
    """Time passes as a node makes them, of a model that takes next to no time."""
    exact_timers()
    for pace in PACES:
        late = lateness(pace) * 1e3
        name = f"pass of {pace}, late by"
        yield BenchResult(f"{name}, median", float(np.median(late)), MEDIAN, "ms")
        yield BenchResult(f"{name}, p99", float(np.quantile(late, 0.99)), P99, "ms")


def lateness(pace: Pace) -> np.ndarray:
    """Seconds that each pass took beyond its pace."""
    model = SyntheticModel(1000, 0.8, 0, role="target", name="synthetic")
    text = [0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.jsonl")
        with contextlib.closing(Tracer("bench", path)) as trace:
            passes = Passes(CachedReader(model.session()), trace, "", pace)
            for number in range(WARM + PASSES):
                text += [0] * (BLOCK if number % 2 else 1)
                passes.run(text, 1, lambda logits: None)
        events = read_events(path)[WARM:]
    return np.array([event["dur"] * 1e-9 - pace.seconds(event["tokens"]) for event in events])


def bench_dilation() -> Iterator[BenchResult]:
    """Yield a whole run at each dilation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scenario.yaml")
        path.write_text(yaml.safe_dump(SCENARIO))
        results, _ = launch(load_scenario(path), Path(folder))
        rows = results.summary().rows
    speeds = {}
    for factor in DILATIONS:
        mine = [row for row in rows if row.time_dilation == factor]
        speed = sum(row.tokens for row in mine) / sum(row.seconds for row in mine)
        speeds[factor] = (speed, worst(row.verdict for row in mine))
    fastest = max(speed for speed, _ in speeds.values())
    for factor, (speed, verdict) in speeds.items():
        yield BenchResult(
            f"dilation {factor}, slower than the fastest by",
            100 * (1 - speed / fastest),
            100 * APART,
            "%",
            f"{speed:.2f} tokens/s, {verdict}",
        )


if __name__ == "__main__":
    command(__doc__, {"pace": bench_pace, "dilation": bench_dilation})
