#!/usr/bin/env python3
"""QS that adapts (γ, ℓ) against the best QS that does not, on emulated links whose uplink switches.

    python scripts/bench/methods.py [--regimes low,high] [--seed N] [--json FILE]

About twenty minutes on an otherwise idle machine with two cores. Topology edge, backend relay, real
processes. The pair is synthetic (V = 50,272), with contexts of as many acceptances as a real pair's
spread over; how sure its draft is tells them apart, better than a real draft's does. Its passes are
paced to what a small model takes on a Jetson and a large one on a server; quantising, coding and
what the policies think take the time they take here. The uplink is in one of two states, by a
seeded Markov chain with a step every round or two: 200 or 500 kbit/s (low), 2 or 6 Mbit/s (high).
50 Mbit/s down, 3 ms each way.

First every static (γ, ℓ) decodes a little. What rounds take is fitted to these texts; the tokens
that a round gives are known exactly of this pair, E[N] = Σ a^k, so that luck has little part in
which statics are taken for the fastest. These are then measured again together with both adaptive
forms, in blocks: each block has its own models, prompts, link and order of methods, and all methods
in it decode the same prompts over the same link. Here tokens and seconds are those of the texts.
The ratio to the static that is the fastest there has an interval over the blocks, whose texts share
models and link and do not count one by one (testbed.analysis.intervals). That static is chosen by
the same texts, which flatters it, and the interval leaves this out. Exits with 1 when, in a regime,
both forms are slower than that static.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from testbed.analysis.generations import counting
from testbed.analysis.intervals import speed, speed_ratio
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import quantise
from testbed.experiment.launcher import launch
from testbed.models.synthetic import draft_distribution, target_distribution
from testbed.results.opening import open_results
from testbed.results.rows import Row
from testbed.scenario.load import load_scenario

REGIMES = {"low": (0.2, 0.5), "high": (2.0, 6.0)}
"""Mbit/s in either state."""
STEP, STAY, LASTING = 0.06, 0.7, 120.0
"""Seconds between steps of the chain, the chance of no change, and how long it goes on."""
VOCABULARY = 50272
ACCEPTANCES = (0.18, 0.6, 0.9, 0.99)
"""Σ min(p, q) of SmolLM2 and its default draft, the means of its quarters: at temperature 0.4, QS's
own, over 300 positions of texts that continue the quickstart's prompts."""
LENGTHS = (1, 2, 3, 4, 6)
RESOLUTIONS = (8, 12, 24, 100, 240)
COMPUTE = {
    # SmolLM2-135M on a Jetson Orin Nano Super, llama.cpp: 165 tokens/s (smolhub.com, 2026).
    "draft": {"per_pass": "6ms", "per_token": "60us"},
    # About what 13 billion weights of 16 bits take a server's accelerator to read: a round figure.
    "target": {"per_pass": "30ms", "per_token": "300us"},
}
ADAPTIVE = {policy: {"policy": policy} for policy in ("qs_model", "qs_dqn")}
FIRST_TOKENS, FIRST_PROMPTS = 80, 2
TOKENS, PROMPTS, BLOCKS, FINALISTS = 160, 4, 5, 3

Entry = dict[str, Any]


def statics() -> list[Entry]:
    """QS with every (γ, ℓ) of the grid."""
    return [
        {"method": "qs", "label": f"{gamma}x{total}", "draft_length": gamma, "lattice": total}
        for gamma in LENGTHS
        for total in RESOLUTIONS
    ]


def adaptive() -> list[Entry]:
    """QS with either policy, which has all ℓ of the grid to choose from."""
    return [
        {"method": "qs", "label": label, "draft_length": policy, "lattice": list(RESOLUTIONS)}
        for label, policy in ADAPTIVE.items()
    ]


def markov_trace(rates: tuple[float, float], seed: str) -> str:
    """Return the uplink as a CSV trace."""
    chance = random.Random(seed)
    state, lines = chance.randrange(2), ["time (s),rate (mbit)"]
    for step in range(round(LASTING / STEP)):
        if chance.random() >= STAY or step == 0:
            state = 1 - state
            lines.append(f"{step * STEP:.2f},{rates[state]}")
    return "\n".join(lines) + "\n"


def scenario(regime: str, methods: list[Entry], tokens: int, prompts: int, seed: int) -> Entry:
    """Return the scenario of one block of generations."""
    up = {"rate": f"{REGIMES[regime][0]}mbit", "delay": "3ms", "trace": "uplink.csv"}
    return {
        "name": f"qs-{regime}-{seed}",
        "topology": "edge",
        "verifier": "base_station",
        "links": {"radio": {"up": up, "down": {"rate": "50mbit", "delay": "3ms"}}},
        "models": {
            "synthetic": {
                "vocabulary_size": VOCABULARY,
                "acceptance": list(ACCEPTANCES),
                "seed": seed,
            }
        },
        "decoding": {"temperature": 1.0, "max_new_tokens": tokens},
        "compute": COMPUTE,
        "methods": methods,
        "prompts": [f"block {seed}, prompt {number}" for number in range(prompts)],
        "seed": seed,
        "backend": "relay",
    }


def measure(
    regime: str, methods: list[Entry], tokens: int, prompts: int, seed: int
) -> tuple[dict[str, list[Row]], list[str]]:
    """Run one block; each method's texts that count, and what the run says against itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "uplink.csv").write_text(markov_trace(REGIMES[regime], f"{regime} {seed}"))
        document = scenario(regime, methods, tokens, prompts, seed)
        (path / "scenario.json").write_text(json.dumps(document))
        # In a process of its own, so that what a run prints can be kept apart.
        done = subprocess.run(
            [sys.executable, __file__, "--run", str(path)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 3):
            sys.exit(f"a run ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
        (found,) = (path / "out").iterdir()
        results = open_results(found)
        texts: dict[str, list[Row]] = {entry["label"]: [] for entry in methods}
        for row in counting(results.summary().rows):
            texts[row.method].append(row)
        reasons = results.verdict().reasons
        if lacking := [label for label, mine in texts.items() if not mine]:
            sys.exit(f"no text of {', '.join(lacking)} counts: {reasons[0]}")
        return texts, reasons


def expected_speeds(texts: dict[str, list[Row]], seed: int) -> dict[str, float]:
    """Tokens per second of every static: E[N], exactly, over T_0 + γ (T_1 + b / R), fitted to all.

    b are the mean bits of a draft; T_0, T_1 and R come from the seconds that rounds took.
    """
    key = str(seed).encode()
    overlap = dict.fromkeys(RESOLUTIONS, 0.0)
    bits = dict.fromkeys(RESOLUTIONS, 0.0)
    for total, (place, alpha) in product(RESOLUTIONS, enumerate(ACCEPTANCES)):
        p = target_distribution(VOCABULARY, key, place)
        q_hat = quantise(draft_distribution(p, alpha, key), total)
        used = int(np.count_nonzero(q_hat.counts))
        overlap[total] += np.minimum(p, q_hat.probabilities).sum() / len(ACCEPTANCES)
        bits[total] += SparseLattice(total, VOCABULARY).bits(used) / len(ACCEPTANCES)
    entries = statics()
    lengths = np.array([entry["draft_length"] for entry in entries])
    drafts = np.array([bits[entry["lattice"]] for entry in entries])
    features = np.stack([np.ones(len(entries)), lengths, lengths * drafts], axis=1)
    measured = [
        sum(text.seconds for text in texts[entry["label"]])
        / sum(text.counts.rounds for text in texts[entry["label"]])
        for entry in entries
    ]
    fitted = features @ np.linalg.lstsq(features, np.array(measured), rcond=None)[0]
    return {
        entry["label"]: sum(overlap[entry["lattice"]] ** k for k in range(length + 1)) / seconds
        for entry, length, seconds in zip(entries, lengths.tolist(), fitted.tolist(), strict=True)
    }


def shuffled(methods: list[Entry], seed: int) -> list[Entry]:
    """In an order that nobody chose."""
    return random.Random(f"order {seed}").sample(methods, len(methods))


def of_block(row: Row, block: int) -> Row:
    """Return a generation for the intervals, in a repetition of its own beside those of its block.

    Like devices of a run they share all there is, and no block has the prompts of another.
    """
    return msgspec.structs.replace(row, repeat=block, prompt=0, device=f"prompt {row.prompt}")


def bench(regime: str, seed: int, console: Console) -> dict[str, Any]:
    """One regime, both passes."""
    slow, fast = REGIMES[regime]
    console.print(f"[bold]{regime}[/]: uplink {slow:g} or {fast:g} Mbit/s")
    first, reasons = measure(regime, shuffled(statics(), seed), FIRST_TOKENS, FIRST_PROMPTS, seed)
    speeds = expected_speeds(first, seed)
    table = Table("γ", *(f"ℓ = {total}" for total in RESOLUTIONS), box=None, padding=(0, 2, 0, 0))
    for gamma in LENGTHS:
        table.add_row(str(gamma), *(f"{speeds[f'{gamma}x{each}']:.1f}" for each in RESOLUTIONS))
    console.print("first pass, tokens/s:", table)
    ranked = sorted(statics(), key=lambda entry: -speeds[entry["label"]])
    finalists = ranked[:FINALISTS]
    texts: dict[str, list[Row]] = {}
    for block in range(1, BLOCKS + 1):
        own = seed + block
        methods = shuffled(adaptive() + finalists, own)
        found, said = measure(regime, methods, TOKENS, PROMPTS, own)
        reasons += said
        for label, more in found.items():
            texts.setdefault(label, []).extend(of_block(row, block) for row in more)
    speeds_then = {label: speed(each).estimate for label, each in texts.items()}
    best = max((entry["label"] for entry in finalists), key=lambda label: speeds_then[label])
    table = Table("", "tokens/s", "ratio to best static", box=None, padding=(0, 2, 0, 0))
    outcome: dict[str, Any] = {
        "best": best,
        "speeds": speeds_then,
        "first": speeds,
        "ratios": {},
    }
    for label in sorted(texts, key=lambda label: -speeds_then[label]):
        shown = "best static" if label == best else ""
        if label in ADAPTIVE:
            ratio = speed_ratio(texts[label], texts[best])
            if ratio is None or ratio.low is None or ratio.high is None:
                sys.exit(f"{regime}: {label} and {best} have too few texts in common that count")
            point, low, high = ratio.estimate, ratio.low, ratio.high
            outcome["ratios"][label] = [point, low, high]
            colour = "green" if point >= 1 else "yellow" if high >= 1 else "red"
            below = "" if point >= 1 else ", below 1"
            shown = f"[{colour}]{point:.3f} ({low:.3f} to {high:.3f}){below}[/]"
        table.add_row(label, f"{speeds_then[label]:.1f}", shown)
    count = len(texts[best])
    console.print(
        f"second pass, {count} texts of {TOKENS} tokens in {BLOCKS} blocks, 95 % intervals:", table
    )
    if reasons:
        console.print(f"{len(reasons)} reservations of the runs, the first: {reasons[0]}")
    console.print()
    return {**outcome, "reasons": reasons}


def run_here(folder: Path) -> int:
    """Run the scenario in `folder`; the exit code of `testbed run`."""
    _, code = launch(load_scenario(folder / "scenario.json"), folder / "out")
    return code


def main() -> None:
    """Run the regimes asked for and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--regimes", default=",".join(REGIMES))
    parser.add_argument("--seed", type=int, default=5000)
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        sys.exit(run_here(args.run))
    chosen = args.regimes.split(",")
    if unknown := set(chosen) - set(REGIMES):
        parser.error(f"--regimes: {', '.join(unknown)}; choose from {', '.join(REGIMES)}")
    console = Console()
    outcomes = {regime: bench(regime, args.seed, console) for regime in chosen}
    if args.json:
        args.json.write_text(json.dumps(outcomes, indent=2))
    worse = [
        regime
        for regime, outcome in outcomes.items()
        if all(ratio < 1 for ratio, _, _ in outcome["ratios"].values())
    ]
    if worse:
        sys.exit(f"slower than the best static QS: {', '.join(worse)}")


if __name__ == "__main__":
    main()
