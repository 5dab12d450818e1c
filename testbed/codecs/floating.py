"""Distributions in floating point, as most systems send them: fp32, fp16 or bf16, all V of them.

Rounding each probability makes them sum to something else than 1. Both ends therefore read the
numbers *on the wire* as integers, multiples of 2^-52, and divide by their sum: q̂ is exact, the same
on every machine, and normalised after rounding. What is below 2^-53 (below 2^-25 in fp16) is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities

FloatPrecision = Literal["fp32", "fp16", "bf16"]
_UNIT = 2.0**52
_LEAST, _MOST = 0.5, 2.0
"""The numbers on the wire sum to 1 but for rounding, which moves their sum by far less."""


@dataclass(frozen=True)
class Floating:
    """Numbers of one float format."""

    precision: FloatPrecision

    @property
    def bits(self) -> int:
        """b_p, bits per probability."""
        return 32 if self.precision == "fp32" else 16

    def quantise(self, q: Probabilities) -> Lattice:
        """`q`, shape [V], rounded as the wire rounds it, then normalised."""
        return _lattice(self._unpack(self._pack(q)))

    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        """Append all V probabilities: V·b_p bits."""
        # Normalising moved them all by one factor; rounding again would not find the way back.
        writer.write_bytes(self._pack(distribution.counts / _UNIT).tobytes())

    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        """Read V probabilities. Raises PayloadError when they are none that `write` writes."""
        data = reader.read_bytes(vocabulary_size * self.bits // 8)
        values = self._unpack(np.frombuffer(data, self._dtype))
        if not (np.isfinite(values).all() and values.min() >= 0 and _LEAST < values.sum() < _MOST):
            raise PayloadError(
                "a distribution arrived damaged: its probabilities are no numbers from 0 to 1 "
                "with a sum of about 1"
            )
        distribution = _lattice(values)
        if self._pack(distribution.counts / _UNIT).tobytes() != data:
            raise PayloadError(
                "a distribution arrived damaged: it holds -0 or what is no multiple of 2^-52, "
                "which are never sent"
            )
        return distribution

    @property
    def _dtype(self) -> str:
        return {"fp32": ">f4", "fp16": ">f2", "bf16": ">u2"}[self.precision]

    def _pack(self, values: Probabilities) -> NDArray[np.generic]:
        if self.precision != "bf16":
            return values.astype(self._dtype)
        # The upper half of fp32, rounded to the nearest, ties to even.
        raw = values.astype(np.float32).view(np.uint32)
        return ((raw + 0x7FFF + (raw >> 16 & 1)) >> 16).astype(self._dtype)

    def _unpack(self, packed: NDArray[np.generic]) -> Probabilities:
        if self.precision == "bf16":
            packed = (packed.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(invalid="ignore"):  # a signalling NaN, which only damage brings
            return packed.astype(np.float64)


def _lattice(values: Probabilities) -> Lattice:
    counts = np.rint(values * _UNIT).astype(np.int64)
    return Lattice.dense(counts, int(counts.sum()))
