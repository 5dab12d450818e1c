#!/usr/bin/env python3
"""Measures by simulation how often intervals hold the true value and tables make false claims.

    python scripts/bench/interval_coverage.py [--only coverage,claims]

Five minutes of one core. Speeds whose true means are known are drawn, and given to what makes the
intervals of tables and figures. The logarithm of a speed is a sum of effects of its repetition, its
prompt and its device, which follow normal laws. In "skewed" ones those of repetitions and prompts
are logarithms of gamma variates, with a long tail to the slow side; those "with gaps" lack every
fifth prompt of a repetition; of those "cut short" the last repetition has one prompt. A spread is
the deviation of an effect, about a share of the speed. Each cell of the design is simulated 2,000
times, and the worst of them again, 20,000 times, so that what is printed is not the worst of
chance. Behind ± is the Monte Carlo error, twice the standard error. Exits with 1 when a limit is
not met.

coverage    1 to 16 devices, 1 to 10 repetitions and 1 to 60 prompts, all spreads .03 to .8. Three
            kinds: "over prompts" from one repetition, of what is true of this run; "over
            repetitions" of one prompt, of what is true of this prompt; "crossed" from several of
            both, of what is true of all. It must be at least 93 % where all spreads are up to .3,
            90 % elsewhere; at most 97 % but where both are crossed. There intervals are too wide
            where both factors matter and there are few of each; that has no limit, see
            testbed.analysis.crossed_variance for why
claims      tables of 11 methods that are alike: how often one is called faster or slower than the
            first, and how often a map names a fastest one, of 11 or of two. At most 5 %, which it
            is where one factor prevails, so that twice the Monte Carlo error is added
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from limits import BenchResult, command
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from testbed.analysis.crossed_variance import half_width, mean_of, parts_of
from testbed.analysis.intervals import LEVEL

Floats = NDArray[np.float64]
SIMULATIONS, AGAIN = 2_000, 20_000
WORST = 8
"""Cells that are simulated again, of each kind."""
BATCH = 2_000
DEVICES = (1, 4, 16)
REPEATS = (1, 2, 3, 5, 10)
PROMPTS = (1, 2, 3, 5, 20, 60)
SPREADS = (0.03, 0.1, 0.3, 0.8)
USUAL = 0.3
LEAST, LEAST_WIDE, MOST = 93.0, 90.0, 97.0
METHODS, FALSE = 11, 5.0
SKEWED, GAPS, CUT = "skewed", "with gaps", "cut short"
VARIANTS = ("", SKEWED, GAPS, CUT)


@dataclass(frozen=True)
class Cell:
    """One design, and how much its effects spread."""

    devices: int
    repeats: int
    prompts: int
    run: float
    prompt: float
    device: float
    variant: str = ""

    def __str__(self) -> str:
        sizes = f"{self.devices} devices × {self.repeats} repetitions × {self.prompts} prompts"
        spreads = f"run {self.run:g}, prompt {self.prompt:g}, device {self.device:g}"
        return f"{sizes}; {spreads}"

    @property
    def kind(self) -> str:
        """Of what its interval is made."""
        if self.repeats == 1:
            return "over prompts"
        return "over repetitions" if self.prompts == 1 else "crossed"

    @property
    def counts(self) -> Floats:
        """Generations of each repetition and prompt."""
        counts = np.full((self.repeats, self.prompts), float(self.devices))
        if self.variant == GAPS:
            counts[np.add.outer(np.arange(self.repeats), 2 * np.arange(self.prompts)) % 5 == 0] = 0
        if self.variant == CUT:
            counts[-1, 1:] = 0
        return counts

    def draw(self, random: np.random.Generator, count: int, methods: int = 1) -> Floats:
        """Logarithms of speeds whose true mean is 0, [methods, count, repeats, prompts].

        What an interval takes as given, its one repetition or prompt, has no effect.
        """
        lead = (methods, count)
        values = random.normal(
            0, self.device / self.devices**0.5, (*lead, self.repeats, self.prompts)
        )
        if self.repeats > 1:
            values += self._effects(random, self.run, (*lead, self.repeats, 1))
        if self.prompts > 1:
            values += self._effects(random, self.prompt, (*lead, 1, self.prompts))
        return values * (self.counts > 0)

    def _effects(
        self, random: np.random.Generator, spread: float, shape: tuple[int, ...]
    ) -> Floats:
        if self.variant != SKEWED:
            return random.normal(0, spread, shape)
        effects: Floats = np.log(random.gamma(SHAPES[spread], 1, shape)) - digamma(SHAPES[spread])
        return effects


def shape_of(spread: float) -> float:
    """Return the shape of the gamma distribution whose logarithm has this deviation."""
    low, high = 1e-3, 1e6
    for _ in range(200):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if polygamma(1, middle) > spread**2 else (low, middle)
    return float(high)


SHAPES = {spread: shape_of(spread) for spread in SPREADS}


def share(count: int, hits: Callable[[int], NDArray[np.bool_]]) -> tuple[float, float]:
    """Percent of so many simulations that are hits, and twice the standard error of that."""
    found = sum(int(hits(BATCH).sum()) for _ in range(count // BATCH))
    chance = found / count
    known = (found + 1) / (count + 2)  # an error also where none or all are hits
    return 100 * chance, 200 * (known * (1 - known) / count) ** 0.5


def covered(cell: Cell, count: int, random: np.random.Generator) -> tuple[float, float]:
    """Return the share of intervals that hold the true value."""
    counts = cell.counts

    def holds(batch: int) -> NDArray[np.bool_]:
        (values,) = cell.draw(random, batch)
        inside: NDArray[np.bool_] = abs(mean_of(values, counts)) <= half_width(
            parts_of(values, counts), LEVEL
        )
        return inside

    return share(count, holds)


def bench_coverage() -> Iterator[BenchResult]:
    """Yield the lowest and highest coverage of each kind of interval."""
    random = np.random.default_rng(1)
    found: dict[tuple[str, str], list[tuple[float, Cell]]] = {}
    designs = product(DEVICES, REPEATS, PROMPTS, SPREADS, SPREADS, SPREADS, VARIANTS)
    for devices, repeats, prompts, run, prompt, device, variant in designs:
        cell = Cell(devices, repeats, prompts, run, prompt, device, variant)
        if repeats == prompts == 1 or (repeats == 1 and run > min(SPREADS)):
            continue  # no interval; no effect
        if prompts == 1 and prompt > min(SPREADS):
            continue
        if variant in (GAPS, CUT) and cell.kind != "crossed":
            continue
        usual = max(run, prompt, device) <= USUAL
        spreads = f"spreads up to {USUAL if usual else max(SPREADS):g}"
        group = f"{variant}, {spreads}" if variant else spreads
        coverage, _ = covered(cell, SIMULATIONS, random)
        found.setdefault((cell.kind, group), []).append((coverage, cell))
    for (kind, group), cells in found.items():
        ranked = sorted(cells, key=lambda each: each[0])
        wide = not group.endswith(f" {USUAL:g}")
        again = [(*covered(cell, AGAIN, random), cell) for _, cell in ranked[:WORST]]
        lowest, error, cell = min(again, key=lambda each: each[0])
        yield BenchResult(
            f"{kind}, {group}: lowest of {len(cells)}", lowest, LEAST_WIDE if wide else LEAST, "%",
            f"± {error:.1f}; {cell}", at_least=True,
        )  # fmt: skip
        again = [(*covered(cell, AGAIN, random), cell) for _, cell in ranked[-WORST:]]
        highest, error, cell = max(again, key=lambda each: each[0])
        mean = sum(coverage for coverage, _ in cells) / len(cells)
        within = sum(coverage <= MOST for coverage, _ in cells) / len(cells)
        yield BenchResult(
            f"{kind}, {group}: highest", highest,
            None if kind == "crossed" else MOST, "%",
            f"± {error:.1f}; {cell}; mean {mean:.1f}, {100 * within:.0f} % of them up to {MOST:g}",
        )  # fmt: skip


def claimed(
    cell: Cell, count: int, random: np.random.Generator, methods: int = METHODS
) -> tuple[float, float]:
    """Return the share of tables of methods that are alike that have a claim.

    By Holm's procedure, one of m has a claim if the interval at level 1 - .05 / m excludes 0.
    """
    counts = cell.counts
    level = 1 - (1 - LEVEL) / (methods - 1)

    def claims(batch: int) -> NDArray[np.bool_]:
        first, *others = cell.draw(random, batch, methods)
        differs = [_excludes(each - first, counts, level) for each in others]
        claims: NDArray[np.bool_] = np.any(differs, axis=0)
        return claims

    return share(count, claims)


def named(
    cell: Cell, count: int, random: np.random.Generator, methods: int = METHODS
) -> tuple[float, float]:
    """Return the share of cells of a map that name a fastest one of methods that are alike."""
    counts = cell.counts

    def names(batch: int) -> NDArray[np.bool_]:
        values = cell.draw(random, batch, methods)
        means = mean_of(values, counts)
        ranked = np.argsort(means, axis=0)
        best = np.take_along_axis(values, ranked[-1][None, :, None, None], axis=0)[0]
        beats = [
            _excludes(
                best - np.take_along_axis(values, each[None, :, None, None], axis=0)[0],
                counts,
                LEVEL,
            )
            for each in ranked[:-1]
        ]
        names: NDArray[np.bool_] = np.all(beats, axis=0)
        return names

    return share(count, names)


def _excludes(values: Floats, counts: Floats, level: float) -> NDArray[np.bool_]:
    excludes: NDArray[np.bool_] = abs(mean_of(values, counts)) > half_width(
        parts_of(values, counts), level
    )
    return excludes


def bench_claims() -> Iterator[BenchResult]:
    """Yield the highest rate of false claims."""
    random = np.random.default_rng(2)
    few = (min(SPREADS), USUAL, max(SPREADS))
    cells = [
        Cell(devices, repeats, prompts, run, prompt, device)
        for devices, repeats, prompts in product((1, 16), (2, 3, 10), (1, 2, 60))
        for run, prompt, device in product(few, few, few)
        if prompts > 1 or prompt == few[0]
    ]
    for what, measure, methods in (
        ("a table", claimed, METHODS), ("a fastest", named, METHODS), ("a fastest", named, 2),
    ):  # fmt: skip
        ranked = sorted(cells, key=lambda cell: measure(cell, SIMULATIONS, random, methods)[0])
        again = [(*measure(cell, AGAIN, random, methods), cell) for cell in ranked[-WORST:]]
        highest, error, cell = max(again, key=lambda each: each[0])
        yield BenchResult(
            f"{what} of {methods} alike: most false claims of {len(cells)}", highest,
            round(FALSE + 2 * error, 1), "%", f"± {error:.1f}; {cell}",
        )  # fmt: skip


if __name__ == "__main__":
    command(__doc__, {"coverage": bench_coverage, "claims": bench_claims})
