"""Distributions in floating point, as most systems send them: fp32, fp16 or bf16, all V of them.

Rounding each probability makes them sum to something else than 1. Both ends therefore read the
numbers *on the wire* as integers, multiples of 2^-52, and divide by their sum: q̂ is exact, the same
on every machine, and normalised after rounding. What is below 2^-53 (below 2^-25 in fp16) is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.base import PrecisionCodec
from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities
from testbed.decoding.wide import blocks, from_counts, to_counts

FloatPrecision = Literal["fp32", "fp16", "bf16"]
_UNIT = 2.0**-52
_LEAST, _MOST = 0.5, 2.0
"""The numbers on the wire sum to 1 but for rounding, which moves their sum by far less."""
_ONE = {"fp32": 0x3F800000, "fp16": 0x3C00, "bf16": 0x3F80}
"""1 on the wire; a larger integer is above 1, negative, -0 or not a number."""
_WHOLE_FROM = {"fp32": 0x31000000, "fp16": 0, "bf16": 0x2900}
"""2^-29, 0 and 2^-45 on the wire; from there on all numbers of a format are multiples of 2^-52."""
_EXPONENT = 0x7FF << 52
_HALF_LEAST = 2.0**-14
"""The least normal number of fp16. Those below are as far apart as those above: 2^-24."""
_HALF_BIAS = 112
"""By how much exponents of fp32 are larger than those of fp16."""


@dataclass(frozen=True)
class Floating(PrecisionCodec):
    """Numbers of one float format."""

    precisions = get_args(FloatPrecision)
    precision: FloatPrecision

    @property
    @override
    def bits(self) -> int:
        return 32 if self.precision == "fp32" else 16

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        if not (q.min() >= 0 and q.max() <= 1):
            raise ValueError("the probabilities are not numbers from 0 to 1")
        counts = np.empty(q.size, np.int64)
        for block in blocks(q.size):
            to_counts(self._rounded(q[block]), _UNIT, out=counts[block])
        return _lattice(counts)

    @override
    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        # Normalising moved them all by one factor; rounding again would not restore them.
        packed = np.empty(distribution.counts.size, self._wire)
        for block in blocks(packed.size):
            numbers = from_counts(distribution.counts[block], _UNIT).astype(np.float32)
            packed[block] = self._packed(numbers)
        writer.write_bytes(packed.tobytes())

    @override
    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        data = reader.read_bytes(vocabulary_size * self.bits // 8)
        packed = np.frombuffer(data, self._wire).astype(self._wire.newbyteorder("="))
        counts, mass, whole = np.empty(packed.size, np.int64), 0.0, True
        if packed.max() <= _ONE[self.precision]:
            for block in blocks(packed.size):
                values = self._unpacked(packed[block])
                to_counts(values, _UNIT, out=counts[block])
                mass += float(values.sum())
                if packed[block].min() < _WHOLE_FROM[self.precision]:
                    whole = whole and bool((from_counts(counts[block], _UNIT) == values).all())
        if not _LEAST < mass < _MOST:
            raise PayloadError(
                "a distribution arrived damaged: its probabilities are not numbers from 0 to 1 "
                "with a sum of about 1"
            )
        if not whole:
            raise PayloadError(
                "a distribution arrived damaged: it holds what is no multiple of 2^-52, which is "
                "never sent"
            )
        return _lattice(counts)

    @property
    def _wire(self) -> np.dtype[np.unsignedinteger]:
        return np.dtype(f">u{self.bits // 8}")

    def _rounded(self, values: Probabilities) -> Probabilities:
        """Round `values`, from 0 to 1, to the nearest of the format, ties to even."""
        if self.precision == "fp16":
            return _rounded_to_half(values)
        numbers = values.astype(np.float32)
        if self.precision == "bf16":
            # The upper half of fp32.
            raw = numbers.view(np.uint32)
            add = raw >> 16
            add &= 1
            add += 0x7FFF
            raw += add
            raw &= 0xFFFF0000
        return numbers.astype(np.float64)

    def _packed(self, numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
        """Return `numbers`, which the format has, as on the wire; overwrites the array."""
        if self.precision == "fp16":
            # Below 2^-14 numbers are evenly spaced down to 0: halved and moved up, they look as if
            # they were from 2^-15 to 2^-14. Of the rest this would make less.
            subnormal = numbers + _HALF_LEAST
            subnormal *= 0.5
            np.maximum(numbers, subnormal, out=numbers)
        raw = numbers.view(np.uint32)
        if self.precision == "fp16":
            raw >>= 13
            raw -= _HALF_BIAS << 10
        elif self.precision == "bf16":
            raw >>= 16
        return raw

    def _unpacked(self, packed: NDArray[np.unsignedinteger]) -> Probabilities:
        """Undo `_packed`."""
        raw = packed.astype(np.uint32)
        numbers = raw.view(np.float32)
        if self.precision == "fp16":
            raw <<= 13
            raw += _HALF_BIAS << 23
            subnormal = numbers * 2
            subnormal -= _HALF_LEAST
            np.minimum(numbers, subnormal, out=numbers)
        elif self.precision == "bf16":
            raw <<= 16
        return numbers.astype(np.float64)


def _rounded_to_half(values: Probabilities) -> Probabilities:
    """Round `values`, from 0 to 1, to fp16, ties to even."""
    # Added to 2^42 times its own power of two, a number loses all but 10 digits behind the first.
    large = np.clip(values, _HALF_LEAST, 1.0)
    raw = large.view(np.int64)
    raw &= _EXPONENT
    large *= 2.0**42
    rounded = values + large
    rounded -= large
    return rounded


def _lattice(counts: NDArray[np.int64]) -> Lattice:
    return Lattice.dense(counts, int(counts.sum()))
