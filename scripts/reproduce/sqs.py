#!/usr/bin/env python3
"""SQS's latency and resampling rate against temperature, K-SQS and C-SQS (arXiv 2510.09942).

    python scripts/reproduce/sqs.py [--out results/reproduce/sqs]

About six minutes on an otherwise idle machine with two cores; called again with the same --out,
it only runs what is missing or was invalid. There is no limit to meet: the paper's text and figures
were not at hand. A summary says what it finds, that K-SQS is better at low uncertainty (low
temperature) and C-SQS at high; that is what is compared. Exits with 1 when a value is invalid.

Settings remembered from the paper, unverified, or guessed: ℓ = 100, a budget of 5000 bits a round,
C-SQS's α = 5e-4 and η = 1e-3, and that the curves are one for each K and each (α, η, β_1). Ours
alone: the Ks (by notes on it the paper compares 2 and 3), the second α, β_1 (there 0.1 and 0.2), at
most 6 drafts a round, the link (500 kbit/s up, no round trip, downlink without a limit), and dense
QS at the same ℓ beside them.

The models are SmolLM2-135M and the draft distilled from it, V = 49,152, and not GPT-Neo-125M and
1.3B on LM1B, and take the time that they take on this machine: absolute numbers cannot agree.
L is the paper's, the largest that the budget allows, which costs C-SQS a pass of the draft model
more in most rounds. Latency is that of a token, the whole text's time by its tokens, the reading of
a short prompt included. The resampling rate is the share of verified drafts that are rejected,
which the paper bounds by TV(q, p) + dropped mass + K / 4ℓ.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from common import Measured, Sheet, finish, measured, out_folder, run, save, write
from matplotlib.figure import Figure
from qs import PROMPTS, REAL

from testbed.errors import TestbedError
from testbed.results.rows import Row

TEMPERATURES = (0.2, 0.5, 0.8, 1.0)
KS = (8, 32, 128)
THRESHOLDS = ((5e-4, 1e-3, 1e-3), (1e-2, 1e-2, 1e-3))
"""α, η and β_1."""
LATTICE, BUDGET, LONGEST, RATE, TOKENS = 100, 5000, 6, "500kbit", 48


def methods() -> list[dict[str, Any]]:
    """K-SQS for each K, C-SQS for each α, and QS."""
    budget = {"policy": "bit_budget", "bits": BUDGET, "longest": LONGEST, "predict": False}
    common = {"lattice": LATTICE, "draft_length": budget}
    fixed = [{"method": "ksqs", "label": f"K-SQS-{k}", "top_k": k, **common} for k in KS]
    online = [
        {
            "method": "csqs", "label": f"C-SQS-{alpha:g}", "alpha": alpha, "eta": eta,
            "first_threshold": first, **common,
        }
        for alpha, eta, first in THRESHOLDS
    ]  # fmt: skip
    return [
        *fixed,
        *online,
        {"method": "qs", "label": f"QS-{LATTICE}", "index": "simplex", **common},
    ]


LABELS = [entry["label"] for entry in methods()]


def latency(mine: Sequence[Row]) -> float:
    """ms a token."""
    return 1e3 * sum(row.seconds for row in mine) / sum(row.tokens for row in mine)


def resampling(mine: Sequence[Row]) -> float:
    """Rejected over verified drafts."""
    verified = sum(row.counts.verified for row in mine)
    return (verified - sum(row.counts.accepted for row in mine)) / verified


def bits(mine: Sequence[Row]) -> float:
    """Of a draft, by the paper's formula."""
    return sum(row.counts.formula_bits for row in mine) / sum(row.counts.drafted for row in mine)


MEASURES = {
    "latency": ("Latency, ms a token", latency, 1),
    "resampling": ("Resampling rate", resampling, 3),
    "bits": ("Bits a draft", bits, 0),
}
Cells = dict[str, dict[float, dict[str, Measured]]]
"""By measure, temperature and method."""


def scenario(temperature: float) -> dict[str, Any]:
    """All methods at one temperature."""
    return {
        "name": f"sqs-{temperature:g}",
        "links": {"radio": {"up": {"rate": RATE}, "down": {}}},
        "models": REAL,
        "decoding": {
            "temperature": temperature, "max_new_tokens": TOKENS, "ignore_eos": True,
        },
        "methods": methods(),
        "prompts": list(PROMPTS),
        "seed": 1,
    }  # fmt: skip


def best(cells: dict[str, Measured], labels: Sequence[str]) -> str | None:
    """Return the label with the least value; None when one of them is invalid."""
    if any(cells[label].value is None for label in labels):
        return None
    return min(labels, key=lambda label: cells[label].value or 0)


def ranking(cells: Cells) -> list[str]:
    """Compare the two at each temperature."""
    words = []
    for temperature, mine in cells["latency"].items():
        one, other = best(mine, LABELS[: len(KS)]), best(mine, LABELS[len(KS) : -1])
        if one is None or other is None:
            words.append(f"T = {temperature:g}: not compared, as a value is invalid.")
            continue
        ratio = (mine[one].value or 0) / (mine[other].value or 1)
        words.append(
            f"T = {temperature:g}: the best K-SQS ({one}) takes {ratio:.2f} times as long as the "
            f"best C-SQS ({other})."
        )
    return [
        *words,
        f"The paper finds K-SQS better at low temperatures, C-SQS at high ones. Two texts of "
        f"{TOKENS} tokens a value: ratios within some 10 % of 1 say nothing.",
    ]


def figure(cells: Cells) -> Figure:
    """Latency and resampling rate against temperature."""
    from plots.style import COLUMN  # noqa: PLC0415  after the backend is chosen

    drawn = Figure(figsize=(2 * COLUMN, 2.6))
    all_axes = drawn.subplots(1, 2)
    colours = ["#332288", "#6655bb", "#9988dd", "#117799", "#88ccee", "#117733"]
    for axes, name in zip(all_axes, ("latency", "resampling"), strict=True):
        for number, label in enumerate(LABELS):
            line = [
                (temperature, mine[label].value)
                for temperature, mine in cells[name].items() if mine[label].value is not None
            ]  # fmt: skip
            if line:
                axes.plot(
                    *zip(*line, strict=True), label=label, lw=1, ms=3.5,
                    marker="osD^vP"[number], color=colours[number],
                )  # fmt: skip
        axes.set_xlabel("temperature")
        axes.set_ylabel(MEASURES[name][0])
        axes.grid(axis="y")
    drawn.legend(*all_axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return drawn


def main() -> None:
    """All temperatures."""
    out = out_folder(__doc__, "reproduce/sqs")
    cells: Cells = {name: {} for name in MEASURES}
    sheets = {name: Sheet(name, title, ["T", *LABELS]) for name, (title, _, _) in MEASURES.items()}
    for temperature in TEMPERATURES:
        rows = run(scenario(temperature), out)
        for name, (_, value, digits) in MEASURES.items():
            mine = {label: measured(rows, label, value) for label in LABELS}
            cells[name][temperature] = mine
            sheets[name].rows.append(
                [f"{temperature:g}", *(each.text(digits) for each in mine.values())]
            )
            if name == "latency":
                for label, each in mine.items():
                    sheets[name].invalid(f"{label} at T = {temperature:g}", each)
    sheets["latency"].words += ranking(cells)
    sheets["resampling"].words.append(
        "Of some hundred tests a value, so that chance moves each by 0.1 either way: too few to "
        "rank methods by."
    )
    sheets["bits"].words.append(
        "By the paper's formulas. C-SQS's follow how unsure the draft is, K-SQS's do not."
    )
    every = list(sheets.values())
    write(out, "SQS (arXiv 2510.09942), measured again", __doc__.split("\n\n", 2)[2], every)
    save(out, "temperature", lambda: figure(cells))
    finish([], every)


if __name__ == "__main__":
    try:
        main()
    except TestbedError as error:
        sys.exit(f"error: {error}")
