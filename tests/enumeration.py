"""Exact output laws: run code under test once for every outcome of every random decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np


class Branching:
    """A Randomness that follows a script, then takes first branches and notes the others."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.taken: list[int] = []
        self.untaken: list[list[int]] = []  # scripts that lead to the other branches
        self.probability = 1.0

    def _branch(self, probabilities: list[float]) -> int:
        possible = [i for i, p in enumerate(probabilities) if p > 0]
        step = len(self.taken)
        if step < len(self.script):
            choice = self.script[step]
        else:
            choice = possible[0]
            self.untaken += [[*self.taken, other] for other in possible[1:]]
        self.taken.append(choice)
        self.probability *= probabilities[choice]
        return choice

    def choose(self, weights, role, position) -> int:
        w = np.asarray(weights, np.float64)
        return self._branch(list(w / w.sum()))

    def accept(self, probability, position) -> bool:
        return bool(self._branch([1 - probability, probability]))


def law(run: Callable[[Branching], Hashable]) -> dict[Hashable, float]:
    """Probability of every result of `run`, summed over all paths."""
    result: dict[Hashable, float] = defaultdict(float)
    scripts: list[list[int]] = [[]]
    while scripts:
        random = Branching(scripts.pop())
        result[run(random)] += random.probability
        scripts += random.untaken
    return result
