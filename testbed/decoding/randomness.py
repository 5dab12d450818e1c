"""Every random decision of a run, keyed by what it decides and never by when.

A draw depends on (seed, repetition, stream, role, position, which) alone: the tokens are a function
of the seed and the method, whatever the link does. Methods ask for decisions, not for uniforms, so
that a test can put an exhaustive enumeration in place of the generator and obtain the exact output
distribution.

No uniform is used twice: a position that is drafted again after a rejection is drafted in another
round, whose number is part of `which`. A method or a draft-length policy that learns from discarded
drafts can therefore not bias the drafts that replace them.
"""

from __future__ import annotations

import hashlib
import struct
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.decoding.wide import blocks

Weights: TypeAlias = NDArray[np.float64] | NDArray[np.int64]
_BLOCK = 256
"""The number of tokens in a block of `choose`."""
_ROUNDING = 2.0**-40
"""More than the relative error of a logarithm and two divisions, in any library."""
Role = Literal["draft", "accept", "target", "race"]


class Randomness(Protocol):
    """The source of all decisions."""

    @abstractmethod
    def choose(self, weights: Weights, role: Role, position: int, *which: int) -> int:
        """Return an index with probability proportional to `weights`, shape [K], non-negative.

        `role` is "draft" for drafts, and "target" for residual, bonus and plain autoregressive
        tokens, on whichever node they are drawn. `which` distinguishes several draws for one
        position: the round, the candidate.
        """

    @abstractmethod
    def accept(self, probability: float, position: int, *which: int) -> bool:
        """Return True with the given probability."""

    @abstractmethod
    def race(self, weights: Weights, position: int) -> int:
        """Return an index with probability proportional to `weights`, shape [V], by a shared race.

        The winner is argmin E / w, and all races at one position share the same exponentials E, so
        that similar weights mostly have the same winner (Daliri et al., arXiv 2408.07978). Races
        are thus the exception to the rule that no uniform is used twice; only the winner over the
        target's weights may be committed.
        """


Randomiser = Callable[[int, int, str], Randomness]
"""Makes the randomness of one generation from (seed, repetition, stream)."""


class KeyedRandomness(Randomness):
    """Derives every draw from a BLAKE2b hash of its key, which this module's docstring gives."""

    def __init__(self, seed: int, repetition: int, stream: str) -> None:
        """`stream` names the generation in a repetition, e.g. "device/2" for the third prompt."""
        self._prefix = struct.pack("<qq", seed, repetition) + stream.encode()

    def uniform(self, role: Role, position: int, *which: int) -> float:
        """Return the uniform in [0, 1) that belongs to this decision, 53 bits."""
        digest = self._digest(role, position, *which, size=8)
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53

    @override
    def choose(self, weights: Weights, role: Role, position: int, *which: int) -> int:
        # Inverse CDF in token order; an entry of weight 0 is never chosen.
        # Adding up whole blocks first, then the tokens of one block, takes a sixth of the time.
        blocks = np.cumsum(np.add.reduceat(weights, np.arange(0, weights.size, _BLOCK)))
        target = self.uniform(role, position, *which) * float(blocks[-1])
        block = int(np.searchsorted(blocks, target, side="right"))
        begin = block * _BLOCK
        inside = np.cumsum(weights[begin : begin + _BLOCK])
        before = blocks[block - 1] if block else 0
        place = int(np.searchsorted(before + inside, target, side="right"))
        if place < inside.size:
            return begin + place
        # None was found, by rounding: u·Σ is Σ itself, or the tokens of a block add up to less than
        # the block. It is the last token so far with a weight.
        return int(np.flatnonzero(weights[: begin + _BLOCK])[-1])

    @override
    def accept(self, probability: float, position: int, *which: int) -> bool:
        # Strictly below, so that probability 0 is never accepted.
        return self.uniform("accept", position, *which) < probability

    @override
    def race(self, weights: Weights, position: int) -> int:
        # The exponentials are those of a Philox generator keyed by position.
        if np.count_nonzero(weights != 0) == 1:
            return int(weights.argmax())
        key = np.frombuffer(self._digest("race", position, size=16), "<u8")
        generator = np.random.Generator(np.random.Philox(key=key))
        winners: list[tuple[float, int]] = []
        for block in blocks(weights.size):
            some = weights[block]
            uniforms, runners = generator.random(some.size), np.flatnonzero(some != 0)
            if runners.size < some.size:
                uniforms, some = uniforms[runners], some[runners]
            if runners.size:
                arrival, place = _winner(uniforms, some)
                winners.append((arrival, block.start + int(runners[place])))
        return min(winners)[1]

    def _digest(self, role: Role, position: int, *which: int, size: int) -> bytes:
        numbers = struct.pack(f"<{1 + len(which)}q", position, *which)
        key = self._prefix + b"\0" + role.encode() + numbers
        return hashlib.blake2b(key, digest_size=size).digest()


def _winner(uniforms: NDArray[np.float64], weights: Weights) -> tuple[float, int]:
    """Return the earliest arrival -log(1 - u) / w and its index, the lowest if several are equal.

    All weights are above 0. Since -log(1 - u) >= u, nothing arrives before u / w. So only those are
    computed whose u / w is not after the arrival of the one with the least u / w.
    """
    with np.errstate(over="ignore"):  # u / 5e-324 is beyond all floats, and inf is late enough
        soonest = uniforms / weights
        first = soonest.argmin()
        latest = -np.log1p(-uniforms[first]) / weights[first] * (1 + _ROUNDING)
        near = np.flatnonzero(soonest <= latest)
        arrivals = -np.log1p(-uniforms[near]) / weights[near]
    least = arrivals.argmin()
    return float(arrivals[least]), int(near[least])
