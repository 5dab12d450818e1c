"""In which order the runs of a scenario take place, and in which they are told.

They take place in a random order, so that a machine that becomes slower or faster meanwhile favours
no method. Whatever is told of them keeps the order of the scenario.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

import msgspec

from testbed.scenario.sweep import Values


class RunId(msgspec.Struct, frozen=True, array_like=True):
    """One run: a method, by its label, and the number of a repetition."""

    method: str
    repeat: int


def shuffled(methods: Sequence[str], repeat: int, seed: int, point: Values) -> list[RunId]:
    """Every method in every repetition, at one point, in an order fixed by the seed.

    Whether one of two comes first depends on those two alone, not on which others there are.
    """
    prefix = msgspec.json.encode((seed, point), order="sorted")

    def number(turn: RunId) -> bytes:
        return hashlib.blake2b(prefix + msgspec.json.encode(turn)).digest()

    return sorted((RunId(each, n) for n, each in product(range(repeat), methods)), key=number)
