"""All V probabilities of each draft, at a chosen precision, as DSD sends them up."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from testbed.codecs.base import Codec, Drawn, PrecisionCodec
from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError
from testbed.codecs.tokens import read_tokens, write_tokens
from testbed.decoding.bit_counts import dsd_bits, id_bits
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities


class Dense(Codec):
    """Writes all distributions, then all token ids: V·b_p + b_id bits per draft."""

    def __init__(self, numbers: PrecisionCodec, vocabulary_size: int) -> None:
        self._numbers = numbers
        self._vocabulary_size = vocabulary_size

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return self._numbers.quantise(q)

    @override
    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        writer = BitWriter()
        for draft in drafts:
            self._numbers.write(writer, draft.q)
        write_tokens(writer, [draft.token for draft in drafts], self._vocabulary_size)
        return writer.payload()

    @override
    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        reader = BitReader(data)
        q = [self._numbers.read(reader, self._vocabulary_size) for _ in range(drafts)]
        tokens = read_tokens(reader, drafts, self._vocabulary_size)
        reader.finish()
        if not all(each.counts[token] for each, token in zip(q, tokens, strict=True)):
            raise PayloadError("a drafted token arrived with probability 0")
        return [Drawn(token, each) for each, token in zip(q, tokens, strict=True)]

    @override
    def formula_bits(self, q: Lattice) -> float:
        return self.constant_bits

    @property
    @override
    def constant_bits(self) -> float:
        v = self._vocabulary_size
        return id_bits(v) + dsd_bits(v, self._numbers.bits)
