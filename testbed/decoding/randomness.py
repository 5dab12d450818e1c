"""Every random decision of a run, keyed by what it decides and never by when.

A draw depends on (seed, repetition, stream, role, position, which) alone: the tokens are a function
of the seed and the method, whatever the link does. Methods ask for decisions, not for uniforms, so
that a test can put an exhaustive enumeration in place of the generator and obtain the exact output
distribution.

No uniform is ever used twice: a position that is drafted again after a rejection is drafted in
another round, and `which` says so. What a method or a draft-length policy learned from discarded
drafts can therefore not bias the drafts that take their place.
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
"""Tokens whose weights are added up first."""
_ROUNDING = 2.0**-40
"""More than a logarithm and two divisions are off by, relatively, in any library."""
Role = Literal["draft", "accept", "target", "race"]


class Randomness(Protocol):
    """The source of all decisions."""

    @abstractmethod
    def choose(self, weights: Weights, role: Role, position: int, *which: int) -> int:
        """Index drawn with probability proportional to `weights`, shape [K], non-negative.

        `role` "draft" draws drafts, "target" every token that is committed by the target's
        own distribution (residual, bonus and plain autoregressive tokens), wherever it is drawn.
        `which` distinguishes several draws for one position: the round, the candidate.
        """

    @abstractmethod
    def accept(self, probability: float, position: int, *which: int) -> bool:
        """Return True with the given probability."""

    @abstractmethod
    def race(self, weights: Weights, position: int) -> int:
        """Index drawn with probability proportional to `weights`, shape [V], by a shared race.

        Every caller at one position shares the same exponentials E: the winner is argmin E / w, and
        two similar weights mostly have the same winner (Daliri et al., arXiv 2408.07978). So races
        are the exception to the rule that no uniform is used twice, and only the winner over the
        target's weights may be committed.
        """


Randomiser = Callable[[int, int, str], Randomness]
"""Makes the randomness of one generation from (seed, repetition, stream)."""


class KeyedRandomness(Randomness):
    """Uniforms from BLAKE2b in counter mode, keyed as the module says."""

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
        # The sum over every block first, then the tokens of one: a sixth of the time.
        blocks = np.cumsum(np.add.reduceat(weights, np.arange(0, weights.size, _BLOCK)))
        target = self.uniform(role, position, *which) * float(blocks[-1])
        block = int(np.searchsorted(blocks, target, side="right"))
        begin = block * _BLOCK
        inside = np.cumsum(weights[begin : begin + _BLOCK])
        before = blocks[block - 1] if block else 0
        place = int(np.searchsorted(before + inside, target, side="right"))
        if place < inside.size:
            return begin + place
        # u·Σ can round up to Σ itself, or the last digits of a block add up to less inside it.
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
    """Return the least -log(1 - u) / w and its lowest index, weights being above 0.

    No arrival is before u / w, since -log(1 - u) is at least u. So logarithms are needed only of
    those that could still arrive before the one whose u / w is the least.
    """
    with np.errstate(over="ignore"):  # 1 / 5e-324 is later than any float can say
        soonest = uniforms / weights
        first = soonest.argmin()
        latest = -np.log1p(-uniforms[first]) / weights[first] * (1 + _ROUNDING)
        near = np.flatnonzero(soonest <= latest)
        arrivals = -np.log1p(-uniforms[near]) / weights[near]
    least = arrivals.argmin()
    return float(arrivals[least]), int(near[least])
