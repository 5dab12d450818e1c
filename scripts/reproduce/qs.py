#!/usr/bin/env python3
"""QS's tokens/s against the mean uplink rate and against temperature (arXiv 2507.00605).

    python scripts/reproduce/qs.py [--out results/reproduce/qs]

About seven minutes on an otherwise idle machine with two cores; called again with the same --out,
it only runs what is missing or was invalid. There is no limit to meet: of the paper only its code
was at hand, which has the axes, the uplinks and the static (γ, ℓ) to beat, but no figures. So only
what the paper claims can be compared: that adapting γ and ℓ is faster than any fixed pair. Exits
with 1 when a value is invalid.

The uplink is the authors' Markov chain between 2 and 6 Mbit/s, with their transition probabilities.
Theirs has a step every round; here it has one every 60 ms, about as long as a round takes. As in
their code neither a round trip nor the downlink takes time; messages are the paper's, the whole
lattice as one number. Adaptive are the paper's Double DQN, `qs_dqn`, as this project trained it
(the weights in the authors' repository are for one pair of models and ℓ of 720 and 240), and
`qs_model`, which maximises the paper's throughput model.

Rate: a synthetic pair, V = 50,272, whose contexts have the acceptances of a real pair's quarters,
paced to 8 ms a draft and 60 ms a round; the paper's times are not known. Temperature: SmolLM2-135M
and the draft distilled from it, V = 49,152, as temperatures mean something to real models alone,
with the time that they take on this machine. The paper has OPT-125M and 13B, so that absolute
numbers cannot agree.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from common import Measured, Sheet, finish, measured, out_folder, run, save, write
from matplotlib.figure import Figure

from testbed.analysis.intervals import speed
from testbed.errors import TestbedError
from testbed.results.rows import Row

LOW, HIGH, STEP, LASTING = 2, 6, 0.06, 200.0
"""Mbit/s of the two states; seconds of a step, and of the whole trace."""
CHAINS = ((0.9, 0.3), (0.75, 0.3), (0.5, 0.25), (0.2, 0.1))
"""P[low | low] and P[low | high] of the authors' plots: four of eight."""
USUAL = (0.7, 0.3)
"""The chain under which temperature varies."""
STATICS = ((3, 240), (4, 240), (3, 24), (3, 4))
"""(γ, ℓ): four of the seven in the authors' code."""
TOTALS = (8, 24, 100, 240)
"""ℓ to choose from: `qs_dqn` knows these."""
TEMPERATURES = (0.2, 0.5, 1.0)
ACCEPTANCES = (0.18, 0.6, 0.9, 0.99)
"""As in scripts/bench/methods.py."""
TOKENS = 48
PROMPTS = (
    "The base station keeps a large language model. The phone keeps a small one, because",
    "Three things to check before you trust a measurement of a network: first,",
)
REAL = {"target": "smollm2-135m-instruct", "draft": "smollm2-135m-instruct-distilled"}
SYNTHETIC = {
    "models": {"synthetic": {"vocabulary_size": 50272, "acceptance": list(ACCEPTANCES)}},
    "compute": {
        "draft": {"per_pass": "8ms", "per_token": "0ms"},
        "target": {"per_pass": "60ms", "per_token": "0ms"},
    },
    "time_dilation": 2,
}
Cells = dict[str, Measured]


def mean_rate(chain: tuple[float, float]) -> float:
    """Mbit/s of a chain in the long run."""
    stays, falls = chain
    low = falls / (1 - stays + falls)
    return low * LOW + (1 - low) * HIGH


def trace(chain: tuple[float, float]) -> str:
    """One course of the uplink as a CSV trace."""
    chance = random.Random(f"QS {chain}")
    low, lines, last = chance.random() < 0.5, ["time (s),rate (mbit)"], None
    for step in range(round(LASTING / STEP)):
        low = chance.random() < chain[0 if low else 1]
        if low is not last:
            lines.append(f"{step * STEP:.2f},{LOW if low else HIGH}")
            last = low
    return "\n".join(lines) + "\n"


def methods() -> list[dict[str, Any]]:
    """All static pairs, then what adapts."""
    fixed = [
        {
            "method": "qs", "label": f"{gamma}x{total}", "draft_length": gamma,
            "lattice": total, "index": "simplex",
        }
        for gamma, total in STATICS
    ]  # fmt: skip
    adaptive = [
        {
            "method": "qs", "label": policy, "draft_length": {"policy": policy},
            "lattice": list(TOTALS), "index": "simplex",
        }
        for policy in ("qs_model", "qs_dqn")
    ]  # fmt: skip
    return fixed + adaptive


def scenario(name: str, temperature: float, **changes: Any) -> dict[str, Any]:
    """All methods over one course of the uplink."""
    return {
        "name": name,
        "links": {"radio": {"up": {"rate": f"{LOW}mbit", "trace": "uplink.csv"}, "down": {}}},
        "decoding": {
            "temperature": temperature, "max_new_tokens": TOKENS, "ignore_eos": True,
        },
        "methods": methods(),
        "prompts": list(PROMPTS),
        "seed": 1,
        **changes,
    }  # fmt: skip


def against(sheet: Sheet, points: list[tuple[str, Callable[[], list[Row]]]]) -> dict[str, Cells]:
    """Return a line of tokens/s for each point, and adaptive compared with the best static."""
    labels = [entry["label"] for entry in methods()]
    cells: dict[str, Cells] = {}
    for point, rows_of in points:
        rows = rows_of()
        mine = {label: measured(rows, label, lambda some: speed(some).estimate) for label in labels}
        cells[point] = mine
        sheet.rows.append([point, *(each.text(1) for each in mine.values())])
        for label, each in mine.items():
            sheet.invalid(f"{label} at {point}", each)
        sheet.words += verdicts(point, mine)
    return cells


def verdicts(point: str, cells: Cells) -> list[str]:
    """Return the gain of adaptive over the best static; no line where a value is invalid."""
    if any(each.value is None for each in cells.values()):
        return [f"{point}: not compared, as a value is invalid."]
    best = max(
        (f"{gamma}x{total}" for gamma, total in STATICS), key=lambda label: cells[label].value or 0
    )
    ratios = {
        label: (cells[label].value or 0) / (cells[best].value or 1)
        for label in ("qs_model", "qs_dqn")
    }
    shown = ", ".join(f"{label} is {ratio:.2f} times as fast" for label, ratio in ratios.items())
    return [f"{point}: the best static is {best}; {shown}."]


def figure(by_rate: dict[str, Cells], by_temperature: dict[str, Cells]) -> Figure:
    """Tokens/s against both."""
    from plots.style import COLUMN  # noqa: PLC0415  after the backend is chosen

    drawn = Figure(figsize=(2 * COLUMN, 2.8))
    left, right = drawn.subplots(1, 2)
    panels = (
        (left, by_rate, "mean uplink rate (Mbit/s)"), (right, by_temperature, "temperature"),
    )  # fmt: skip
    colours = {"qs_model": "#cc6677", "qs_dqn": "#ee7733"}
    for axes, cells, name in panels:
        for number, label in enumerate(entry["label"] for entry in methods()):
            line = [
                (float(point), mine[label].value)
                for point, mine in cells.items() if mine[label].value is not None
            ]  # fmt: skip
            if line:
                axes.plot(
                    *zip(*line, strict=True), label=label, marker="osD^vPX*"[number], ms=3.5,
                    lw=1.5 if label in colours else 0.8,
                    color=colours.get(label, str(0.1 + 0.12 * number)),
                )  # fmt: skip
        axes.set_xlabel(name)
        axes.grid(axis="y")
    left.set_ylabel("tokens per second")
    drawn.legend(*left.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return drawn


def main() -> None:
    """Both sweeps."""
    out = out_folder(__doc__, "reproduce/qs")
    labels = [entry["label"] for entry in methods()]
    rates = Sheet("rate", "Tokens/s against the mean uplink rate in Mbit/s", ["Mbit/s", *labels])
    by_rate = against(
        rates,
        [
            (
                f"{mean_rate(chain):.2f}",
                lambda chain=chain: run(
                    scenario(f"qs-rate-{mean_rate(chain):.2f}", 1.0, **SYNTHETIC),
                    out, {"uplink.csv": trace(chain)},
                ),
            )
            for chain in CHAINS
        ],
    )  # fmt: skip
    heats = Sheet(
        "temperature",
        f"Tokens/s against temperature, {mean_rate(USUAL):.2f} Mbit/s in the mean",
        ["T", *labels],
    )
    by_temperature = against(
        heats,
        [
            (
                f"{temperature:g}",
                lambda temperature=temperature: run(
                    scenario(f"qs-temperature-{temperature:g}", temperature, models=REAL),
                    out, {"uplink.csv": trace(USUAL)},
                ),
            )
            for temperature in TEMPERATURES
        ],
    )  # fmt: skip
    sheets = [rates, heats]
    for sheet in sheets:
        sheet.words.append(
            f"3x240 is γ = 3, ℓ = 240. Two texts of {TOKENS} tokens a value, a static's the same "
            "at each rate: no interval can be given, a difference of some 10 % may be luck, and "
            "the best of several statics is lucky. scripts/bench/methods.py measures this with "
            "more texts. The paper's curves have these axes; their values are not at hand."
        )
    write(out, "QS (arXiv 2507.00605), measured again", __doc__.split("\n\n", 2)[2], sheets)
    save(out, "speed", lambda: figure(by_rate, by_temperature))
    finish([], sheets)


if __name__ == "__main__":
    try:
        main()
    except TestbedError as error:
        sys.exit(f"error: {error}")
