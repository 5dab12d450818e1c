#!/usr/bin/env python3
"""Compares simulated runs with emulated ones, and measures how fast simulation is.

    python scripts/bench/twin.py [--only links|loss|cell|speed|who_wins]

On an otherwise idle machine, as root or where user namespaces are allowed. Takes about: links 25
minutes, loss 40, cell 1, speed 3, who_wins 2.

links, loss and cell write what they found to testbed/analysis/validity.json, which is committed.

links: every method on 12 links without loss, three repetitions. Tokens, payload bits and message
bytes must be identical; mean round times must agree within 2 % in the median and 6 % at worst, or
within the spread of the emulated repetitions where that is larger.
loss: 40 cells with 1 and 5 % loss; the mean round time of 300 simulated generations must lie in the
95 % interval of 30 emulated ones in 90 % of the cells.
cell: eight devices under a fair queue; goodput.
speed: virtual seconds over real ones, one device.

Exits with 1 when a limit is not met.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml
from limits import BenchResult, command
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from testbed.analysis.validity import PATH, Comparison, Ranges, Validity, spans_of, validity
from testbed.experiment.launcher import launch
from testbed.methods.base import methods
from testbed.results.rows import Row
from testbed.scenario.load import load_scenario
from testbed.scenario.scenario import Scenario

LINKS = [
    {f"links.radio.{direction}.{key}": value for direction in ("up", "down")
     for key, value in (("rate", rate), ("delay", delay))}
    for rate in ("1mbit", "5mbit", "20mbit", "100mbit")
    for delay in ("1ms", "10ms", "40ms")
]  # fmt: skip
LOSS_LINKS = [
    {f"links.radio.{direction}.{key}": value for direction in ("up", "down")
     for key, value in (("rate", rate), ("delay", delay), ("loss", loss))}
    for rate in ("2mbit", "20mbit")
    for delay in ("5ms", "40ms")
    for loss in ("1%", "5%")
]  # fmt: skip
LOSS_METHODS = ["cloud_ar", "dsd", "dssd", "ksqs", "tslt"]
EMULATED, SIMULATED = 30, 300
"""Generations of a cell with loss."""
MEDIAN, WORST, COVERED, GOODPUT = 0.02, 0.06, 0.9, 0.05
PROMPTS = ["one text", "another text", "a third one"]
_70B = {"draft": {"profile": "jetson_smollm2_135m"}, "target": {"profile": "a100x4_llama2_70b"}}
SPEEDS = [("gumbel", 32000, 6), ("ksqs", 32000, 6), ("gumbel", 1000, 40), ("ksqs", 1000, 40),
          ("dssd", 32000, 4), ("dsd", 32000, 1.5)]  # fmt: skip
"""Method, vocabulary, and least virtual seconds for each real one."""
FEW, MANY = 4, 44
"""Prompts of two runs, whose difference is what prompts take."""
WHO_WINS = Path(__file__).parents[1] / "scenarios/who_wins.yaml"
WHO_WINS_S = 360

Cell = tuple[str, str]
"""A point of the sweep and a method."""


def bench_links() -> Iterator[BenchResult]:
    """Compare every method on links without loss."""
    scenario = base("bench_twin_links", sorted(methods()), sweep=LINKS, prompts=PROMPTS, repeat=3)
    (emulated, ranges), (simulated, _) = run(scenario, "auto"), run(scenario, "simulated")
    differ = exact(emulated) ^ exact(simulated)
    note = f"of {len(exact(emulated))} generations"
    if differ:
        note += f"; e.g. {sorted(differ)[0][:3]}"
    yield BenchResult("tokens, bits or bytes that differ", len(differ) / 2, 0, "", note)
    errors, spread = {}, {}
    theirs, ours = cells(emulated), cells(simulated)
    for cell, rows in theirs.items():
        measured, found = round_time(rows), round_time(ours[cell])
        errors[cell] = found / measured - 1
        by_run = [round_time(each) for each in grouped(rows, lambda row: row.repeat).values()]
        spread[cell] = (max(by_run) - min(by_run)) / 2 / measured
    percent = {cell: 100 * error for cell, error in errors.items()}
    table(percent, "simulated over emulated mean round time, in %")
    sizes = [abs(error) for error in errors.values()]
    yield BenchResult("error of mean round times, median", statistics.median(sizes), MEDIAN, "")
    worst = max(errors, key=lambda cell: abs(errors[cell]) / max(WORST, spread[cell]))
    note = f"{worst}; emulation's own spread {spread[worst]:.3f}"
    limit = max(WORST, spread[worst])
    yield BenchResult("the same, worst", abs(errors[worst]), limit, "", note)
    record("mean round time without loss", ranges, sizes)


def bench_loss() -> Iterator[BenchResult]:
    """Compare links with loss, whose round times are random."""
    inside: dict[Cell, float] = {}
    sizes = []
    scenario = base("bench_twin_loss", LOSS_METHODS, sweep=LOSS_LINKS, prompts=PROMPTS)
    emulated, ranges = run({**scenario, "repeat": EMULATED // len(PROMPTS)}, "auto")
    simulated, _ = run({**scenario, "repeat": SIMULATED // len(PROMPTS)}, "simulated")
    theirs, ours = cells(emulated), cells(simulated)
    for cell, rows in theirs.items():
        each = [statistics.mean(row.round_s) for row in rows]
        half = float(student.ppf(0.975, len(each) - 1)) * statistics.stdev(each) / len(each) ** 0.5
        found = statistics.mean(statistics.mean(row.round_s) for row in ours[cell])
        inside[cell] = (found - statistics.mean(each)) / half
        sizes.append(abs(found / statistics.mean(each) - 1))
    table(inside, "simulated minus emulated, in half-widths of the 95 % interval")
    share = sum(abs(off) <= 1 for off in inside.values()) / len(inside)
    note = f"of {len(inside)} cells"
    yield BenchResult("cells inside the interval", share, COVERED, "", note, at_least=True)
    # Without loss, `links` compares slower and faster links, with longer and shorter delays.
    record("mean round time with loss", {**ranges, "loss": (0, ranges["loss"][1])}, sizes)


def bench_cell() -> Iterator[BenchResult]:
    """Compare eight devices that share a cell."""
    link = {"rate": "10mbit", "delay": "10ms"}
    scenario = base("bench_twin_cell", ["dsd", "ksqs"], prompts=PROMPTS)
    scenario |= {"topology": "cell", "devices": 8, "links": {"radio": {"up": link, "down": link}}}
    (emulated, ranges), (simulated, _) = run(scenario, "auto"), run(scenario, "simulated")
    theirs, ours = cells(emulated), cells(simulated)
    sizes = []
    for cell in theirs:
        error = goodput(ours[cell]) / goodput(theirs[cell]) - 1
        sizes.append(abs(error))
        yield BenchResult(f"goodput of {cell[1]}, error", abs(error), GOODPUT, "", f"{error:+.3f}")
    record("goodput of a cell", ranges, sizes)


def bench_speed() -> Iterator[BenchResult]:
    """Measure virtual over real time of one device, RTT 20 ms, γ 4, a 70B target."""
    for method, vocabulary, least in SPEEDS:
        scenario = base("bench_twin_speed", [{"method": method, "draft_length": 4}])
        scenario["models"] = {"synthetic": {"vocabulary_size": vocabulary, "acceptance": 0.8}}
        scenario["decoding"]["max_new_tokens"] = 256
        scenario["sweep"] = [
            {f"links.radio.{direction}.{key}": value for direction in ("up", "down")
             for key, value in (("rate", "50mbit"), ("delay", "10ms"))}
        ]  # fmt: skip
        took: dict[int, tuple[float, float]] = {}
        for prompts in FEW, MANY:  # the difference leaves out what is done once
            began = time.perf_counter()
            rows, _ = run({**scenario, "prompts": ["a text"] * prompts}, "simulated")
            took[prompts] = time.perf_counter() - began, sum(row.seconds for row in rows)
        real, virtual = (took[MANY][i] - took[FEW][i] for i in (0, 1))
        name = f"{method}, V = {vocabulary:,}: virtual over real time"
        yield BenchResult(name, virtual / real, least, "", at_least=True)


def bench_who_wins() -> Iterator[BenchResult]:
    """Measure who_wins.yaml as it stands, by two jobs."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scenario = load_scenario(WHO_WINS, ["backend=simulated"])
        rows = launch(scenario, Path(folder), 2)[0].summary().rows
    seconds = time.monotonic() - began
    yield BenchResult("who_wins.yaml", seconds, WHO_WINS_S, "s", f"{len(rows)} generations")


def base(name: str, names: list[Any], **more: Any) -> dict[str, Any]:
    """Return a scenario of one device, with the paces of a 70B target."""
    return {
        "name": name,
        "topology": "edge",
        "verifier": "base_station",
        "links": {"radio": {}},
        "models": {"synthetic": {"vocabulary_size": 1000, "acceptance": 0.8}},
        "compute": _70B,
        "decoding": {"temperature": 1.0, "max_new_tokens": 24, "ignore_eos": True},
        "methods": names,
        "prompts": ["any text"],
        "seed": 1,
        **more,
    }


def run(scenario: dict[str, Any], backend: str) -> tuple[list[Row], Ranges]:
    """Return the rows of all valid runs, and where they were; other runs are an error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scenario.yaml")
        path.write_text(yaml.safe_dump({**scenario, "backend": backend}))
        loaded = load_scenario(path)
        rows = launch(loaded, Path(folder), 1)[0].summary().rows
    invalid = [row for row in rows if row.verdict == "invalid"]
    if invalid:
        raise SystemExit(f"{len(invalid)} rows are invalid: {invalid[0].reasons}")
    return rows, compared(loaded, rows)


def compared(scenario: Scenario, rows: Iterable[Row]) -> Ranges:
    """Return the smallest and the largest value of each quantity in all rows."""
    points = {str(point.values): point.scenario for point in scenario.every_point()}
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        at = points[str(row.point)]
        for name, span in spans_of(at, at.links, row.counts.draft_lengths).items():
            found[name] += span
    return {name: (min(each), max(each)) for name, each in found.items() if any(each)} | {
        "loss": (min(found["loss"]), max(found["loss"]))
    }


def record(what: str, ranges: Ranges, errors: list[float]) -> None:
    """Write a comparison to validity.json, in the place of the last one of this quantity."""
    found = Comparison(
        what=what, ranges=ranges, median=statistics.median(errors), worst=max(errors)
    )
    others = [each for each in validity().comparisons if each.what != what]
    known = msgspec.json.encode(Validity(comparisons=[*others, found]))
    PATH.write_bytes(msgspec.json.format(known, indent=2) + b"\n")
    validity.cache_clear()


def exact(rows: Iterable[Row]) -> set[tuple[Any, ...]]:
    """Return what must not depend on how time is made."""
    return {
        (row.method, str(row.point), row.repeat, row.prompt, row.device, row.output_sha256,
         row.traffic.up_payload_bits, row.traffic.up_bytes, row.traffic.down_bytes,
         row.events.downlink_payload_bits)
        for row in rows
    }  # fmt: skip


def cells(rows: Iterable[Row]) -> dict[Cell, list[Row]]:
    """Return the rows of each cell."""
    keys = [f"links.radio.up.{key}" for key in ("rate", "delay", "loss")]
    return grouped(
        rows,
        lambda row: (" ".join(row.point[key] for key in keys if key in row.point), row.method),
    )


def grouped(rows: Iterable[Row], key: Any) -> dict[Any, list[Row]]:
    """Return the rows by a key."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def round_time(rows: Iterable[Row]) -> float:
    """Return the mean duration of a round in seconds."""
    return float(np.mean([seconds for row in rows for seconds in row.round_s]))


def goodput(rows: Iterable[Row]) -> float:
    """Return the tokens of all devices per second."""
    rows = list(rows)
    ends = defaultdict(list)
    for row in rows:
        ends[row.repeat, row.prompt].append((row.start_s, row.start_s + row.seconds))
    busy = sum(max(b for _, b in each) - min(a for a, _ in each) for each in ends.values())
    return sum(row.tokens for row in rows) / busy


def table(values: dict[Cell, float], title: str) -> None:
    """Print a value for each cell."""
    names = sorted({method for _, method in values})
    shown = Table("link", *names, box=None, title=title)
    for point in dict.fromkeys(point for point, _ in values):
        shown.add_row(point, *(f"{values[point, name]:+.1f}" for name in names))
    Console(width=200).print(shown)


if __name__ == "__main__":
    command(__doc__, {"links": bench_links, "loss": bench_loss, "cell": bench_cell,
                      "speed": bench_speed, "who_wins": bench_who_wins})  # fmt: skip
