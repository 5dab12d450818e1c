#!/usr/bin/env python3
"""Measures how long `testbed report` takes over 100 runs, and how large its page is.

    python scripts/bench/report.py [--only sweep,points,repeats]

The runs are made up: 4 texts of 64 tokens each, with events, texts and ledgers beside them. Exits
with 1 when a limit is not met.

sweep       20 points of 5 methods
points      100 points of one method
repeats     one point of 4 methods, 25 times over
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
from limits import BenchResult, command
from msgspec.structs import replace

from testbed.analysis.phases import PHASES
from testbed.audit.capture_evidence import Entry
from testbed.counts import DraftCounts, Traffic
from testbed.pcap.byte_ledger import Ledger
from testbed.results.directory import Results, Summary
from testbed.results.event_metrics import EventMetrics
from testbed.results.rows import Row, WireBytes
from testbed.results.verdict import Verdict
from testbed.scenario.sweep import Values

SECONDS, BYTES = 20, 10_000_000
PROMPTS, TOKENS, PER_ROUND = 4, 64, 4
METHODS = ("cloud_ar", "dsd", "dssd", "qs", "ksqs")
KEY = "links.radio.up.rate"


def bench(points: int, methods: int, repeats: int) -> Iterator[BenchResult]:
    """Write 100 runs, and a report of them as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        results = make_runs(Path(folder), points, METHODS[:methods], repeats)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "testbed", "report", results.path], check=True)
        seconds = time.perf_counter() - began
        size = (results.path / "report.html").stat().st_size
    runs = points * methods * repeats
    what = f"{runs} runs: {points} points, {methods} methods, {repeats} times"
    yield BenchResult(f"{what}: written in", seconds, SECONDS, "s")
    yield BenchResult(f"{what}: size", size / 1e6, BYTES / 1e6, "MB")


def make_runs(parent: Path, points: int, methods: tuple[str, ...], repeats: int) -> Results:
    """Results of this many runs."""
    chance = random.Random(0)
    results = Results.create(parent, "bench_report")
    swept: list[Values] = [{KEY: f"{1 + n}mbit"} for n in range(points)] if points > 1 else [{}]
    asked = [words(chance, 80) for _ in range(PROMPTS)]
    direction = {"rate": "10mbit", "delay": "20ms"}
    results.write_scenario(
        {
            "name": "bench_report",
            "topology": "edge",
            "verifier": "base_station",
            "links": {"radio": {"up": direction, "down": direction}},
            "methods": [{"method": method, "label": method} for method in methods],
            "prompts": asked,
            "sweep": swept if points > 1 else [],
        }
    )
    rows = []
    for point, method, repeat in product(swept, methods, range(repeats)):
        mine = [make_row(chance, point, method, repeat, prompt) for prompt in range(PROMPTS)]
        folder = results.run(method, repeat, point)
        (folder / "ledger.json").write_bytes(msgspec.json.encode(list(ledger(chance))))
        text = "".join(
            f"--- prompt {n}\n{prompt}\n--- {method}\n{words(chance, TOKENS)}\n\n"
            for n, prompt in enumerate(asked, 1)
        )
        (folder / "text.txt").write_text(text, encoding="utf-8")
        for node in ("device", "base_station"):
            lines = (line for row in mine for line in events(row, node))
            (folder / f"{node}.jsonl").write_bytes(b"".join(lines))
        rows += mine
    results.write_json("summary.json", Summary(scenario="bench_report", rows=rows))
    results.write_json("verdict.json", Verdict("suspect", [words(chance, 12) for _ in rows]))
    results.write_json("environment.json", {"kernel": "6.1", "packages": {"testbed": "0"}})
    return results


def make_row(chance: random.Random, point: Values, method: str, repeat: int, prompt: int) -> Row:
    """Return a row with plausible values."""
    seconds = chance.uniform(1, 3)
    rounds = TOKENS // PER_ROUND
    verified, accepted, sent = rounds * PER_ROUND, rounds * (PER_ROUND - 1), chance.randrange(9999)
    return Row(
        method=method, repeat=repeat, point=point, prompt=prompt, backend="relay",
        start_s=100.0 * prompt,
        tokens=TOKENS, seconds=seconds, tokens_per_second=TOKENS / seconds, ttft_s=0.1,
        counts=replace(
            DraftCounts.zero(), rounds=rounds, draft_passes=verified, drafted=verified,
            verified=verified,
            accepted=accepted, rejections=rounds, formula_bits=sent,
            verified_per_position=[rounds] * PER_ROUND,
            accepted_per_position=[rounds - 1] * PER_ROUND,
        ),
        traffic=replace(Traffic.zero(), up_bytes=2 * sent, up_payload_bits=8 * sent),
        events=EventMetrics(
            device_compute_s=0.3, verifier_compute_s=0.4, verify_s=0.3, network_s=seconds - 0.7,
            downlink_payload_bits=800, downlink_message_bytes=900, target_tv=None,
        ),
        acceptance_rate=accepted / verified, uplink_wire_bytes=3 * sent, downlink_wire_bytes=2000,
        links={"radio": WireBytes(3 * sent, 90, 0, 2000, 80, 0)},
        verification_rounds=rounds, predicted_mean_acceptance_length=3.9,
        predicted_tokens_per_second=40.0,
        predicted_on_air_s=0.2, output_sha256=f"{chance.getrandbits(256):064x}", verdict="suspect",
        reasons=[words(chance, 12)],
        token_s=[(n + 1) * seconds / TOKENS for n in range(TOKENS)],
        round_s=[seconds / rounds] * rounds, phases=dict.fromkeys(PHASES, seconds / len(PHASES)),
    )  # fmt: skip


def ledger(chance: random.Random) -> Iterator[Entry]:
    """Yield the journal's entry of each captured generation."""
    for prompt, direction in product(range(PROMPTS), ("up", "down")):
        uses = Ledger(payload=chance.randrange(9999), messages=900, tcp_ip=5200, ethernet=1400)
        yield Entry(
            prompt=prompt,
            link="radio",
            direction=direction,
            frames=100,
            bytes=uses.total,
            uses=uses,
        )


def events(row: Row, node: str) -> Iterator[bytes]:
    """Yield the events of one generation: what a node computes, sends and receives."""
    device = node == "device"
    length = int(1e9 * row.seconds / row.counts.rounds)
    for number in range(row.counts.rounds):
        begin = int(1e9 * row.start_s) + number * length
        lines: list[tuple[str, float, dict[str, Any]]] = (
            [
                ("draft", 0.0, {"dur": length // 5}),
                ("send", 0.2, {"message": "Round", "bytes": 100}),
                ("receive", 0.9, {"message": "Reply", "bytes": 50}),
                ("commit", 0.95, {}),
            ]
            if device
            else [
                ("receive", 0.4, {"message": "Round", "bytes": 100}),
                ("verify", 0.4, {"dur": length // 5}),
                ("send", 0.6, {"message": "Reply", "bytes": 50}),
            ]
        )
        for name, at, more in lines:
            event = {
                "node": node, "t": begin + int(at * length), "event": name,
                "stream": f"device/{row.prompt}", "round": number,
            }  # fmt: skip
            yield msgspec.json.encode({**event, **more}) + b"\n"


def words(chance: random.Random, count: int) -> str:
    """Return a text of so many words."""
    return " ".join(
        "".join(chance.choices("abcdefghijklmnop", k=chance.randrange(2, 9))) for _ in range(count)
    )


if __name__ == "__main__":
    command(
        __doc__,
        {
            "sweep": lambda: bench(20, 5, 1),
            "points": lambda: bench(100, 1, 1),
            "repeats": lambda: bench(1, 4, 25),
        },
    )
