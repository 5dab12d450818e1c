"""Exact output laws: run code under test once for every outcome of every random decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from itertools import pairwise

import numpy as np


class Branching:
    """A Randomness that follows a script, then takes first branches and notes the others."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.taken: list[int] = []
        self.untaken: list[list[int]] = []  # scripts that lead to the other branches
        self.probability = 1.0
        self._used: set[tuple] = set()
        self._races: dict[int, list[tuple[np.ndarray, int]]] = {}

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

    def choose(self, weights, role, position, *which) -> int:
        self._use(role, position, *which)
        w = np.asarray(weights, np.float64)
        return self._branch(list(w / w.sum()))

    def accept(self, probability, position, *which) -> bool:
        self._use("accept", position, *which)
        return bool(self._branch([1 - probability, probability]))

    def race(self, weights, position) -> int:
        """Branch over the winners; the second race at a position depends on the first."""
        w = np.asarray(weights, np.float64)
        law, earlier = w / w.sum(), self._races.setdefault(position, [])
        if earlier:
            (first, winner), *more = earlier
            assert not more, f"three races at position {position}"
            law = joint_race(first, law)[winner] / first[winner]
        winner = self._branch(list(law))
        earlier.append((w / w.sum(), winner))
        return winner

    def _use(self, *key) -> None:
        assert key not in self._used, f"the uniform of {key} is used twice"
        self._used.add(key)


def law(run: Callable[[Branching], Hashable]) -> dict[Hashable, float]:
    """Probability of every result of `run`, summed over all paths."""
    result: dict[Hashable, float] = defaultdict(float)
    scripts: list[list[int]] = [[]]
    while scripts:
        random = Branching(scripts.pop())
        result[run(random)] += random.probability
        scripts += random.untaken
    return result


def joint_race(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """P(argmin E/p = i and argmin E/q = j) for exponentials E, exactly; shape [V, V].

    Given E_i = a and E_j = ta, everybody else must be later in both races:
    P = ∫ dt / (1 + t + Σ_k max(p_k/p_i, t q_k/q_j))² over p_j/p_i < t < q_j/q_i,
    whose integrand is piecewise 1 / (A + B t)².
    """
    v = p.size
    result = np.zeros((v, v))
    for i in range(v):
        if p[i] == 0:
            continue
        if q[i] > 0:
            result[i, i] = 1 / np.maximum(p / p[i], q / q[i]).sum()
        for j in range(v):
            if i == j or q[j] == 0:
                continue
            low = p[j] / p[i]
            high = q[j] / q[i] if q[i] > 0 else np.inf
            if high <= low:
                continue
            others = [k for k in range(v) if k not in (i, j)]
            turns = [p[k] / p[i] * q[j] / q[k] for k in others if q[k] > 0]
            edges = [low, *sorted(t for t in turns if low < t < high), high]
            for a, b in pairwise(edges):
                middle = (a + b) / 2 if np.isfinite(b) else 2 * a + 1
                const, slope = 1.0, 1.0
                for k in others:
                    if p[k] / p[i] >= middle * q[k] / q[j]:
                        const += p[k] / p[i]
                    else:
                        slope += q[k] / q[j]
                end = 1 / (const + slope * b) if np.isfinite(b) else 0.0
                result[i, j] += (1 / (const + slope * a) - end) / slope
    return result
