#!/usr/bin/env python3
"""TK-SLT's tables of γ* and of L, and its speed-up against K (arXiv 2509.04576), measured again.

    python scripts/reproduce/tkslt.py [--out results/reproduce/tkslt]

About seven minutes on an otherwise idle machine with two cores; called again with the same --out,
it only runs what is missing or was invalid. Exits with 1 when a γ* or an L of the paper is not met.

The paper's text was not at hand. Table I (γ*), L(K) and the acceptances at the ends of K come from
notes on it and from code by others that models it (DuoDecoding); the speed-ups of its figure 4 are
not known, only that K = 320 is the best. L = b + c; c = 0.07 and b = 0.23 for the whole vocabulary
fit all L that are printed (the notes have b and c swapped), and with 32,000 x 16 bits at 50 Mbit/s
that makes T_LLM 44.5 ms and T_SLM 3.1 ms: the passes are paced to these, dilated four times.

The pair is synthetic, V = 32,000, its α such that what is accepted with K tokens is what the paper
has for K. Of the paper's Ks between the ends that isn't known; there it is the pair of the whole
vocabulary at T = 1, cut to K. The paper drafts at T = 1 for a target at 0 or 1, which this testbed
refuses (one temperature for both): what T = 0 stands for here is its acceptance, nothing else.

The paper bills 16 bits for each of K values and lets the K ids travel free. Nobody can read values
without ids, so they are sent; "billed" is a link that is as much faster as the message is longer,
"sent" is the paper's 50 Mbit/s. Neither has a round trip, and the downlink has no limit, as in the
paper.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Measured, Sheet, finish, measured, out_folder, run, save, write
from matplotlib.figure import Figure

from testbed.decoding.bit_counts import tk_slt_bits, tk_slt_honest_bits
from testbed.decoding.supports import top_k
from testbed.decoding.theory import (
    Costs,
    expected_tokens,
    optimal_draft_length,
    relative_cost,
    runs_alone,
    speed_up,
)
from testbed.errors import TestbedError
from testbed.models.synthetic import draft_distribution, target_distribution
from testbed.results.rows import Row

VOCABULARY, VALUE_BITS, RATE = 32000, 16, 50e6
SHARE_UP, SHARE_DRAFT = 0.23, 0.07
"""b for the whole vocabulary, and c."""
T_LLM = VOCABULARY * VALUE_BITS / RATE / SHARE_UP
COSTS = Costs(SHARE_DRAFT * T_LLM, T_LLM, RATE, float("inf"), 0)
TABLE_1 = {  # by α, γ* for each L; None: the target alone
    0.4: {0.01: 4, 0.1: 2, 0.2: 1, 0.4: 1, 0.6: None},
    0.6: {0.01: 7, 0.1: 3, 0.2: 2, 0.4: 1, 0.6: None},
    0.8: {0.01: 14, 0.1: 6, 0.2: 4, 0.4: 2, 0.6: 1},
}
PRINTED_L = {3: 0.0700, 32: 0.0702, 320: 0.0723, 3200: 0.093, 32000: 0.300}
PRINTED_ALPHA = {"T = 0": {3: 0.542, 32000: 0.290}, "T = 1": {3: 0.310, 32000: 0.439}}
CURVES, GAMMAS = ((0.6, 0.1), (0.8, 0.1)), (1, 2, 3, 4, 6, 8, 12)
"""(α, L) of figure 2 that are measured, and γ."""
ALPHAS = [round(0.005 * step, 3) for step in range(10, 190)]
"""Those tried for a pair."""
TOKENS, DILATION = 128, 4
KEY = b"0"
"""Of the synthetic pair with seed 0."""


def kept_overlap(alpha: float, kept: int) -> float:
    """Return the acceptance when q is truncated to K tokens before sampling: Σ min(p, q̃)."""
    p = target_distribution(VOCABULARY, KEY)
    q = draft_distribution(p, alpha, KEY)
    support = top_k(q, kept)
    q_cut = np.zeros_like(q)
    q_cut[support] = q[support] / q[support].sum()
    return float(np.minimum(p, q_cut).sum())


def alpha_for(overlap: float, kept: int) -> float:
    """Return the pair's α with the closest acceptance; with K = 3 not every one can be had."""
    if kept == VOCABULARY:
        return overlap
    return min(ALPHAS, key=lambda alpha: abs(kept_overlap(alpha, kept) - overlap))


def own_alpha(temperature: str, kept: int) -> float | None:
    """Return the pair's α for a K; None where neither the paper nor a pair has one."""
    printed = PRINTED_ALPHA[temperature]
    if kept in printed:
        return alpha_for(printed[kept], kept)
    return alpha_for(printed[VOCABULARY], VOCABULARY) if temperature == "T = 1" else None


def best_length(alpha: float, cost: float) -> list[int | None]:
    """γ*, None where the target is best left alone; both where neither is better, at α = L."""
    gamma = optimal_draft_length(alpha, cost)
    if not runs_alone(alpha, cost):
        return [gamma]
    return [gamma, None] if alpha == cost else [None]


def table_1() -> tuple[Sheet, list[str]]:
    """γ* by the closed form beside what is printed."""
    sheet = Sheet(
        "table1", "Table I: γ*, printed / ours", ["α", *(f"L = {x:g}" for x in TABLE_1[0.4])]
    )
    missed = []
    for alpha, line in TABLE_1.items():
        cells = []
        for cost, printed in line.items():
            ours = best_length(alpha, cost)
            shown = " = ".join(str(each or "alone") for each in ours)
            cells.append(f"{printed or 'alone'} / {shown}")
            if printed not in ours:
                missed.append(f"γ* at α = {alpha}, L = {cost}")
        sheet.rows.append([f"{alpha:g}", *cells])
    sheet.words.append(
        "'alone': no draft pays, S(γ) <= 1 for every γ (printed as 1 with a star). At α = L "
        "S(1) is 1: the paper has a star at 0.6 and none at 0.4."
    )
    return sheet, missed


def scenario(
    name: str,
    alpha: float,
    *,
    rate: float | None,
    entries: Sequence[dict[str, Any]],
    draft: float,
    dilation: int,
) -> dict[str, Any]:
    """One link; `rate` of its uplink in bit/s, `draft` seconds a drafted token."""
    return {
        "name": name,
        "links": {"radio": {"up": {"rate": f"{rate:.0f}bit"} if rate else {}, "down": {}}},
        "models": {"synthetic": {"vocabulary_size": VOCABULARY, "acceptance": alpha}},
        "compute": {
            "draft": {"per_pass": f"{draft * 1e6:.0f}us", "per_token": "0us"},
            "target": {"per_pass": f"{T_LLM * 1e6:.0f}us", "per_token": "0us"},
        },
        "decoding": {"temperature": 1.0, "max_new_tokens": TOKENS},
        "methods": list(entries),
        "prompts": ["any text"],
        "seed": 1,
        "time_dilation": dilation,
    }


def gain(alpha: float, gamma: int) -> Callable[[Sequence[Row]], float]:
    """Over T_LLM a token, by the seconds that rounds took and the tokens that they give on average.

    E[N] is known exactly of this pair, so that luck has no part in it. The prompt does not count.
    """
    tokens = expected_tokens(alpha, gamma)

    def value(mine: Sequence[Row]) -> float:
        rounds = sum(row.counts.rounds for row in mine)
        return tokens * T_LLM * rounds / decoding_seconds(mine)

    return value


def own_gain(mine: Sequence[Row]) -> float:
    """Return the same by the tokens of the text itself."""
    return sum(row.tokens for row in mine) * T_LLM / decoding_seconds(mine)


def decoding_seconds(mine: Sequence[Row]) -> float:
    """Return the seconds of all texts without the reading of their prompts."""
    times = [row.events for row in mine]
    return sum(each.device_compute_s + each.verify_s + each.network_s for each in times)


def cost_of_a_draft(mine: Sequence[Row]) -> float:
    """L, with what a round takes besides its verification."""
    seconds = sum(row.events.device_compute_s + row.events.network_s for row in mine)
    return seconds / sum(row.counts.drafted for row in mine) / T_LLM


def accepted(mine: Sequence[Row]) -> float:
    """α of the texts."""
    return sum(row.counts.accepted for row in mine) / sum(row.counts.verified for row in mine)


def against_k(out: Path) -> tuple[Sheet, list[str], dict[str, dict[int, Measured]]]:
    """L and the speed-up for each K; the speed-ups by curve, too."""
    sheet = Sheet(
        "speed_up",
        "L, and the speed-up at γ* against K; 50 Mbit/s",
        ["", "K", "L paper", "formula", "ours", "α", "ours", "γ*", "S formula", "ours, billed",
         "ours, sent", "its text"],
    )  # fmt: skip
    missed, curves = [], {}
    for temperature in PRINTED_ALPHA:
        for kept, printed in PRINTED_L.items():
            billed = tk_slt_bits(kept, VALUE_BITS)
            cost = relative_cost(COSTS, billed)
            if abs(cost - printed) > 0.005 * printed and temperature == "T = 0":
                missed.append(f"L at K = {kept}")
            alpha = own_alpha(temperature, kept)
            if alpha is None:
                continue
            overlap = kept_overlap(alpha, kept)
            gamma = optimal_draft_length(overlap, cost)
            longer = tk_slt_honest_bits(VOCABULARY, kept, VALUE_BITS) / billed
            entry = {"method": "tslt", "top_k": kept, "draft_length": gamma}
            cells = {}
            for kind, rate in (("billed", RATE * longer), ("sent", RATE)):
                name = f"tkslt-{temperature[-1]}-{kept}-{kind}"
                cells[kind] = run(
                    scenario(
                        name, alpha, rate=rate, entries=[entry], draft=COSTS.draft,
                        dilation=DILATION,
                    ),
                    out,
                )  # fmt: skip
            gains = {
                kind: measured(rows, "tslt", gain(overlap, gamma)) for kind, rows in cells.items()
            }
            sheet.rows.append([
                temperature, str(kept), f"{printed:.4f}", f"{cost:.4f}",
                measured(cells["billed"], "tslt", cost_of_a_draft).text(4),
                f"{overlap:.3f}", measured(cells["billed"], "tslt", accepted).text(3), str(gamma),
                f"{speed_up(overlap, gamma, cost):.2f}", *(each.text() for each in gains.values()),
                measured(cells["billed"], "tslt", own_gain).text(),
            ])  # fmt: skip
            for kind, each in gains.items():
                sheet.invalid(f"{temperature}, K = {kept}, {kind}", each)
                curves.setdefault(f"{temperature}, {kind}", {})[kept] = each
    for label, curve in curves.items():
        if label.startswith("T = 1") and all(each.value is not None for each in curve.values()):
            best = max(curve, key=lambda kept: curve[kept].value or 0)
            sheet.words.append(f"{label}: the best K is {best}; the paper's is 320.")
    sheet.words += [
        "Ours, L: all that a round takes besides verifying, by its drafts; what programs and the "
        "answer take in a round, some 2 ms, is in it, and makes S smaller than the formula's.",
        "α: what the pair has at this K, exactly, and what one text of it had, by chance. S is by "
        "the former and the seconds that rounds took; 'its text' is tokens/s of that text, billed.",
        "At T = 1 the pair is one and the same from K = 32 on, and loses next to nothing when it "
        "is cut to 32 tokens, so that the best K may be 32 as well as 320: real drafts have longer "
        "tails, of which the paper's α between the ends of K would tell.",
        "Sent: with the ids, a draft of the whole vocabulary takes 992 kbit and not 512, one of "
        "K = 3 takes 108 bits and not 48.",
    ]
    return sheet, missed, curves


def against_gamma(out: Path) -> Sheet:
    """S(γ) of figure 2, on a link that takes no time: L = c."""
    sheet = Sheet(
        "gamma", "S(γ), formula / ours", ["α", "L", *(f"γ = {gamma}" for gamma in GAMMAS), "best"]
    )
    for alpha, cost in CURVES:
        entries = [
            {"method": "tslt", "top_k": 320, "draft_length": gamma, "label": f"g{gamma}"}
            for gamma in GAMMAS
        ]
        own = alpha_for(alpha, 320)
        name, draft = f"tkslt-gamma-{alpha}", cost * T_LLM
        rows = run(scenario(name, own, rate=None, entries=entries, draft=draft, dilation=2), out)
        gains = [measured(rows, f"g{gamma}", gain(alpha, gamma)) for gamma in GAMMAS]
        formulas = [speed_up(alpha, gamma, cost) for gamma in GAMMAS]
        best = "–"
        if all(each.value is not None for each in gains):
            best = str(max(zip(gains, GAMMAS, strict=True), key=lambda each: each[0].value or 0)[1])
        pairs = zip(formulas, gains, strict=True)
        sheet.rows.append([
            f"{alpha:g}", f"{cost:g}", *(f"{a:.2f} / {b.text()}" for a, b in pairs),
            f"{TABLE_1[alpha][cost]} / {best}",
        ])  # fmt: skip
        for gamma, each in zip(GAMMAS, gains, strict=True):
            sheet.invalid(f"α = {alpha}, γ = {gamma}", each)
    sheet.words.append(
        f"By the seconds that the rounds of a text of {TOKENS} tokens took, and E[N]. Best: the "
        "γ* printed / the best of the γ measured."
    )
    return sheet


def figure(curves: dict[str, dict[int, Measured]]) -> Figure:
    """Return the speed-up against K, by T and kind."""
    from plots.style import COLUMN  # noqa: PLC0415  after the backend is chosen

    drawn = Figure(figsize=(COLUMN, 2.6))
    axes = drawn.subplots()
    for label, curve in curves.items():
        known = [(kept, each.value) for kept, each in curve.items() if each.value is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True), label=label, lw=1.2, ms=4,
                marker="o" if "T = 1" in label else "s",
                mfc=None if "billed" in label else "none",
                # Nothing is known between the ends of T = 0.
                ls="none" if "T = 0" in label else "-" if "billed" in label else ":",
                color="#aa4499" if "T = 1" in label else "#444444",
            )  # fmt: skip
    axes.axvline(320, color="#999999", lw=0.8)
    axes.annotate("paper's best K", (340, axes.get_ylim()[0]), fontsize=6, va="bottom")
    axes.set_xscale("log")
    axes.grid(axis="y")
    axes.set_xlabel("K")
    axes.set_ylabel("speed-up over the target alone")
    axes.legend(frameon=False, fontsize=6)
    return drawn


def main() -> None:
    """All tables."""
    out = out_folder(__doc__, "reproduce/tkslt")
    first, missed = table_1()
    second, more, curves = against_k(out)
    sheets = [first, second, against_gamma(out)]
    write(out, "TK-SLT (arXiv 2509.04576), measured again", __doc__.split("\n\n", 2)[2], sheets)
    save(out, "speed_up", lambda: figure(curves))
    finish(missed + more, sheets)


if __name__ == "__main__":
    try:
        main()
    except TestbedError as error:
        sys.exit(f"error: {error}")
