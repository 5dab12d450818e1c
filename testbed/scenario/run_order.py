"""The order in which the runs of a scenario take place.

It is random, so that a machine that becomes slower or faster during the runs favours no method.
Tables and figures keep the order of the scenario.
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
    """Return every method in every repetition, at one point, in an order fixed by the seed.

    The order of any two runs does not depend on the other runs, so that `--methods` keeps it.
    """
    prefix = msgspec.json.encode((seed, point), order="sorted")

    def sort_key(run: RunId) -> bytes:
        return hashlib.blake2b(prefix + msgspec.json.encode(run)).digest()

    return sorted((RunId(each, n) for n, each in product(range(repeat), methods)), key=sort_key)
