"""All V probabilities of each draft, at a chosen precision: what DSD sends up, and DSSD down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from testbed.codecs.base import Drawn
from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError
from testbed.codecs.fixed_point import FixedPoint, FixedPrecision
from testbed.codecs.floating import Floating, FloatPrecision
from testbed.codecs.tokens import read_tokens, write_tokens
from testbed.decoding.bit_counts import dsd_bits, id_bits
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities

Precision: TypeAlias = FixedPrecision | FloatPrecision


def distribution_codec(precision: Precision) -> FixedPoint | Floating:
    """The codec for one whole distribution at this precision."""
    match precision:
        case "fixed16" | "fixed32":
            return FixedPoint(precision)
        case _:
            return Floating(precision)


class Dense:
    """A Codec: V·b_p + b_id bits a draft; all distributions first, then the ids."""

    def __init__(self, precision: Precision, vocabulary_size: int) -> None:
        self._numbers = distribution_codec(precision)
        self._vocabulary_size = vocabulary_size

    def quantise(self, q: Probabilities) -> Lattice:
        """See Codec."""
        return self._numbers.quantise(q)

    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        """See Codec."""
        writer = BitWriter()
        for draft in drafts:
            self._numbers.write(writer, draft.q)
        write_tokens(writer, [draft.token for draft in drafts], self._vocabulary_size)
        return writer.payload()

    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        """See Codec."""
        reader = BitReader(data)
        q = [self._numbers.read(reader, self._vocabulary_size) for _ in range(drafts)]
        tokens = read_tokens(reader, drafts, self._vocabulary_size)
        reader.finish()
        if not all(each.counts[token] for each, token in zip(q, tokens, strict=True)):
            raise PayloadError("a drafted token arrived with probability 0")
        return [Drawn(token, each) for each, token in zip(q, tokens, strict=True)]

    def formula_bits(self, q: Lattice) -> float:
        """See Codec."""
        return self.constant_bits

    @property
    def constant_bits(self) -> float:
        """DSD: b_id + V b_p."""
        v = self._vocabulary_size
        return id_bits(v) + dsd_bits(v, self._numbers.bits)
