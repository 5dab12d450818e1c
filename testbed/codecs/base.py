"""The interfaces of codecs: drafts with their distributions to bits, and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.codecs.bits import BitReader, BitWriter, Payload
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities, confidence


@dataclass(frozen=True)
class Drawn:
    """A drafted token and the q̂ it was drawn from."""

    token: int
    q: Lattice
    logits: NDArray[np.floating] | None = None
    """The draft model's logits, shape [V].

    Set only on the device, in greedy decoding, where q̂ has a single token."""

    @property
    def probability(self) -> float:
        """q̂(token)."""
        return self.q.probability(self.token)

    @property
    def confidence(self) -> float:
        """The draft model's confidence in the token: q̂(token).

        In greedy decoding q(token) at temperature 1, since q̂(token) is 1 there.
        """
        return self.probability if self.logits is None else confidence(self.logits)


class Codec(Protocol):
    """Carries drafts with the whole of their q̂. Both ends create it from the same options.

    The token is drawn from what `quantise` returns, and `decode` returns exactly the same q̂:
    rounding after drawing would bias the output.
    """

    @abstractmethod
    def quantise(self, q: Probabilities) -> Lattice:
        """Return the q̂ that replaces `q`, shape [V]. Raises ValueError if there is none for `q`."""

    @abstractmethod
    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        """Write all drafts of one round."""

    @abstractmethod
    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        """Read what `encode` wrote. Raises PayloadError on anything that `encode` never writes."""

    @abstractmethod
    def formula_bits(self, q: Lattice) -> float:
        """Return the bits of one draft by the paper's formula: q̂ and what the paper adds to it."""

    @property
    @abstractmethod
    def constant_bits(self) -> float | None:
        """The value of `formula_bits` if it is the same for every q̂; else None."""


class DistributionCodec(Protocol):
    """Carries one whole distribution, as a field of a payload."""

    @abstractmethod
    def quantise(self, q: Probabilities) -> Lattice:
        """Return the distribution that replaces `q`, shape [V], on both ends."""

    @abstractmethod
    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        """Append a distribution that `quantise` returned."""

    @abstractmethod
    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        """Read exactly what was written. Raises PayloadError on what `write` never writes."""


class PrecisionCodec(DistributionCodec):
    """Carries all V probabilities, each in `bits` bits, at a precision that options name.

    A subclass in a module of its own in this package is found by its `precisions`.
    """

    precisions: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, precision: str) -> None:
        """`precision` is one of `precisions`."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """b_p, bits per probability."""
