"""Fixed-point distributions without their zeros: b_id + b_p bits for each entry that is not 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from testbed.codecs.bits import BitReader, BitWriter, PayloadError, width
from testbed.codecs.fixed_point import CompressedFixedPoint, FixedPoint
from testbed.decoding.lattice import Lattice


@dataclass(frozen=True)
class NonZero(CompressedFixedPoint):
    """The number of entries (b_id bits, one less), their ids, their counts.

    Larger than all V probabilities at once when more than b_p / (b_id + b_p) of them are not 0.
    """

    name = "sparse"

    @override
    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        b_id = width(distribution.vocabulary_size)
        ids = np.flatnonzero(distribution.counts)
        writer.write(ids.size - 1, b_id)
        writer.write_array(ids, b_id)
        writer.write_array(distribution.counts[ids], FixedPoint(self.precision).bits)

    @override
    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        fixed, b_id = FixedPoint(self.precision), width(vocabulary_size)
        size = reader.read(b_id) + 1
        ids = reader.read_array(size, b_id)
        kept = reader.read_array(size, fixed.bits)
        if ids[-1] >= vocabulary_size or (ids[1:] <= ids[:-1]).any() or not kept.all():
            raise PayloadError(
                "a distribution arrived damaged: its entries are not those of ascending ids, "
                f"below {vocabulary_size} and not 0"
            )
        counts = np.zeros(vocabulary_size, np.int64)
        counts[ids] = kept
        return fixed.received(counts)
