#!/usr/bin/env python3
"""Measures what tracing costs, and whether it accounts for every byte.

    python scripts/bench/traces.py [--only events,captures,bytes]

On an otherwise idle machine, as root. The pair is synthetic and not paced, so that nothing hides
what tracing takes. Exits with 1 when a limit is not met.

events      tokens/s with the nodes' events written over those without, in one process: text by text
            in turns, median over pairs of texts
captures    tokens/s with tcpdump at both ends of the link over those without: whole runs in turns,
            median over pairs of the same text in two runs, one behind the other. No limit:
            `capture: false` does without them
bytes       bytes of such runs, with and without losses, that captures, links and nodes do not agree
            on, or that have no use
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from limits import BenchResult, command

from testbed.audit.capture_evidence import Entry
from testbed.decoding.sampling import Sampling
from testbed.events import Tracer
from testbed.experiment.launcher import launch
from testbed.models.synthetic import SyntheticModel
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.results.directory import Results
from testbed.scenario.load import load_scenario
from testbed.transport.in_process import InProcessChannel

VOCABULARY, ACCEPTANCE = 50272, 0.8
TEXTS, TOKENS = 60, 200
PAIRS, REPEATS = 8, 3
LEAST = 0.98
METHODS = ("dssd", "ksqs")


def bench_events() -> Iterator[BenchResult]:
    """Each text with and without, one after the other, when the models know it already."""
    target, draft = (
        SyntheticModel(VOCABULARY, ACCEPTANCE, 0, role=role, name="synthetic")
        for role in ("target", "draft")
    )
    server = VerifierServer(target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.jsonl")
        for method in METHODS:
            ratios = []
            for number in range(TEXTS):
                seconds = {}
                for traced in (True, False, True) if number % 2 else (False, True, False):
                    device = Tracer("device", path if traced else None)
                    server.trace = Tracer("cloud", path if traced else None)
                    decoded = generate(
                        text(method, number), [1], draft, InProcessChannel(server),
                        timeout=60, trace=device,
                    )  # fmt: skip
                    seconds[traced] = decoded.times[-1]
                    device.close()
                    server.trace.close()
                ratios.append(seconds[False] / seconds[True])
            yield BenchResult(
                f"{method}: tokens/s with events over those without",
                statistics.median(ratios), LEAST, "", at_least=True,
            )  # fmt: skip


def text(method: str, number: int) -> DecodeRequest:
    """One text."""
    return DecodeRequest(
        method=method,
        options={},
        sampling=Sampling(1.0),
        seed=number,
        repetition=0,
        stream="device/0",
        max_new_tokens=TOKENS,
        end_tokens=(),
    )


def bench_captures() -> Iterator[BenchResult]:
    """Whole runs in turns; their texts are the same."""
    ratios: dict[str, list[float]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(PAIRS):
            seconds: dict[bool, dict[tuple[str, int, int], float]] = {}
            for capture in (True, False) if turn % 2 else (False, True):
                rows = run(Path(folder), capture=capture, loss="0%").summary().rows
                seconds[capture] = {(r.method, r.prompt, r.repeat): r.seconds for r in rows}
            for text, bare in seconds[False].items():
                ratios[text[0]].append(bare / seconds[True][text])
    for method in METHODS:
        yield BenchResult(
            f"{method}: tokens/s with captures over those without",
            statistics.median(ratios[method]),
            None,
            "",
            f"{len(ratios[method])} pairs of texts",
            at_least=True,
        )


def bench_bytes() -> Iterator[BenchResult]:
    """All ledgers of two runs, and what the verdict says of them."""
    for loss in ("0%", "3%"):
        with tempfile.TemporaryDirectory() as folder:
            results = run(Path(folder), capture=True, loss=loss)
            entries = [
                entry
                for path in results.path.glob("runs/*/ledger.json")
                for entry in msgspec.json.decode(path.read_bytes(), type=list[Entry])
            ]
            wrong = [each for each in results.verdict().reasons if "busy" not in each]
        yield BenchResult(
            f"bytes without a use, loss {loss}",
            sum(abs(each.unaccounted) for each in entries),
            0,
            "B",
            f"of {sum(each.bytes for each in entries):,} B",
        )
        yield BenchResult(f"disagreements, loss {loss}", len(wrong), 0, "", "; ".join(wrong[:1]))


def run(folder: Path, *, capture: bool, loss: str) -> Results:
    """Return a run of all methods."""
    direction = {"rate": "1gbit", "delay": "0ms", "loss": loss}
    scenario: dict[str, Any] = {
        "name": "bench_traces",
        "topology": "edge",
        "verifier": "base_station",
        "links": {"radio": {"up": direction, "down": direction}},
        "models": {"synthetic": {"vocabulary_size": VOCABULARY, "acceptance": ACCEPTANCE}},
        "decoding": {"temperature": 1.0, "max_new_tokens": TOKENS},
        "methods": list(METHODS),
        "prompts": ["any text", "another text"],
        "repeat": REPEATS,
        "backend": "relay",
        "capture": capture,
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return launch(load_scenario(path), folder)[0]


if __name__ == "__main__":
    command(__doc__, {"events": bench_events, "captures": bench_captures, "bytes": bench_bytes})
