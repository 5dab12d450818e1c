"""Every random decision of a run, keyed by what it decides and never by when.

A draw depends on (seed, repetition, stream, role, position) alone: the text is a function of the
seed and the method, whatever the link does. Methods ask for decisions, not for uniforms, so that a
test can put an exhaustive enumeration in place of the generator and obtain the exact output law.

A position that is drafted again after a rejection uses the same uniform again. That is harmless as
long as nothing decided for earlier positions looked at it: state that a method learned from
discarded drafts must be rolled back with them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Role = Literal["draft", "accept", "target"]


class Randomness(Protocol):
    """Where decisions come from."""

    def choose(
        self, weights: NDArray[np.float64] | NDArray[np.int64], role: Role, position: int
    ) -> int:
        """Index drawn with probability proportional to `weights`, shape [V], non-negative.

        `role` "draft" draws drafts, "target" everything that stands in the text by the target's
        own law (residual, bonus and plain autoregressive tokens), wherever it is drawn.
        """

    def accept(self, probability: float, position: int) -> bool:
        """True with the given probability."""


Randomiser = Callable[[int, int, str], Randomness]
"""Makes the randomness of one text from (seed, repetition, stream)."""


class KeyedRandomness:
    """Uniforms from BLAKE2b in counter mode, keyed as the module says."""

    def __init__(self, seed: int, repetition: int, stream: str) -> None:
        """`stream` names the text within a repetition, e.g. "device/2" for the third prompt."""
        self._prefix = struct.pack("<qq", seed, repetition) + stream.encode()

    def uniform(self, role: Role, position: int) -> float:
        """The uniform in [0, 1) that belongs to this role and token position, 53 bits."""
        key = self._prefix + b"\0" + role.encode() + struct.pack("<q", position)
        digest = hashlib.blake2b(key, digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53

    def choose(
        self, weights: NDArray[np.float64] | NDArray[np.int64], role: Role, position: int
    ) -> int:
        """See Randomness. Inverse CDF in token order; an entry of weight 0 is never chosen."""
        cumulative = np.cumsum(weights)
        target = self.uniform(role, position) * float(cumulative[-1])
        index = int(np.searchsorted(cumulative, target, side="right"))
        # u·Σ can round up to Σ itself: then the last entry that has weight.
        return min(index, int(np.flatnonzero(weights)[-1]))

    def accept(self, probability: float, position: int) -> bool:
        """See Randomness. Strictly below, so that probability 0 is never accepted."""
        return self.uniform("accept", position) < probability
