"""Distributions in fixed point: b_p bits per probability, exact on both ends.

The whole of q is put on the lattice ℓ = 2^b_p - 1, so each probability is an integer of b_p bits
and Σ = 1 holds exactly. DSD sends all V of them; DSSD only the one of the drawn token, which needs
no normalisation at the receiver because ℓ is known. Rounding that scalar alone, as floats invite
one to do, would bias the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.base import DistributionCodec, PrecisionCodec
from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.decoding.lattice import Lattice, quantise
from testbed.decoding.sampling import Probabilities

FixedPrecision = Literal["fixed16", "fixed32"]


@dataclass(frozen=True)
class FixedPoint(PrecisionCodec):
    """Codec for one precision, named in scenarios: `fixed16` or `fixed32`."""

    precisions = get_args(FixedPrecision)
    precision: FixedPrecision

    @property
    @override
    def bits(self) -> int:
        return int(self.precision.removeprefix("fixed"))

    @property
    def total(self) -> int:
        """ℓ, the denominator."""
        return (1 << self.bits) - 1

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return quantise(q, self.total)

    @override
    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        writer.write_bytes(distribution.counts.astype(self._dtype).tobytes())

    @override
    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        data = reader.read_bytes(vocabulary_size * self.bits // 8)
        counts = np.frombuffer(data, self._dtype).astype(np.int64)
        return self.received(counts)

    def received(self, counts: NDArray[np.int64]) -> Lattice:
        """Return the distribution of counts, shape [V], that arrived.

        Raises PayloadError unless they sum to exactly 1.
        """
        try:
            return Lattice.dense(counts, self.total)
        except ValueError as error:
            raise PayloadError(f"a distribution arrived damaged: {error}") from None

    def write_scalar(self, writer: BitWriter, distribution: Lattice, token: int) -> None:
        """Append q̂(token) alone: b_p bits."""
        writer.write(int(distribution.counts[token]), self.bits)

    def read_scalar(self, reader: BitReader) -> float:
        """Read one probability. Raises PayloadError on zero: such a token cannot be drawn."""
        count = reader.read(self.bits)
        if count == 0:
            raise PayloadError("a drafted token arrived with probability 0")
        return count / self.total

    @property
    def _dtype(self) -> str:
        return f">u{self.bits // 8}"


@dataclass(frozen=True)
class CompressedFixedPoint(DistributionCodec):
    """Carries a fixed-point distribution losslessly, in fewer bits than V·b_p where it can.

    A subclass in a module of its own in this package is found by its `name`.
    """

    name: ClassVar[str]
    precision: FixedPrecision

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return FixedPoint(self.precision).quantise(q)
