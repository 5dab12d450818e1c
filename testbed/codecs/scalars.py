"""Ids and one scalar each: γ (b_id + b_p) bits, as DSSD (arXiv 2507.12000) sends drafts up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError, width
from testbed.codecs.tokens import read_tokens, write_tokens
from testbed.decoding.lattice import Lattice


class ScalarCodec(Protocol):
    """Carries the one probability that a token was drawn with."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """b_p, bits per probability."""

    @abstractmethod
    def write_scalar(self, writer: BitWriter, distribution: Lattice, token: int) -> None:
        """Append q̂(token)."""

    @abstractmethod
    def read_scalar(self, reader: BitReader) -> float:
        """Read exactly what was written. Raises PayloadError on what cannot have been drawn."""


@dataclass(frozen=True)
class CountCodec(ScalarCodec):
    """For any denominator `total` = ℓ: counts from 1 to ℓ, ⌈log2 ℓ⌉ bits."""

    total: int

    @property
    @override
    def bits(self) -> int:
        return width(self.total)

    @override
    def write_scalar(self, writer: BitWriter, distribution: Lattice, token: int) -> None:
        count = int(distribution.counts[distribution.place(token)])
        writer.write(count - 1, self.bits)

    @override
    def read_scalar(self, reader: BitReader) -> float:
        count = reader.read(self.bits) + 1
        if count > self.total:
            raise PayloadError(f"a drafted token arrived with probability {count}/{self.total}")
        return count / self.total


def scalar_bits(codec: ScalarCodec, vocabulary_size: int) -> int:
    """Return b_id + b_p, for one draft."""
    return width(vocabulary_size) + codec.bits


def write_scalars(drafts: Sequence[Drawn], codec: ScalarCodec, vocabulary_size: int) -> Payload:
    """Write all ids, then the probability of each; `codec` has quantised them."""
    writer = BitWriter()
    write_tokens(writer, [draft.token for draft in drafts], vocabulary_size)
    for draft in drafts:
        codec.write_scalar(writer, draft.q, draft.token)
    return writer.payload()


def read_scalars(
    data: bytes, drafts: int, codec: ScalarCodec, vocabulary_size: int
) -> tuple[list[int], list[float]]:
    """Read ids and probabilities. Raises PayloadError on damage, and on a probability of 0."""
    reader = BitReader(data)
    tokens = read_tokens(reader, drafts, vocabulary_size)
    scalars = [codec.read_scalar(reader) for _ in tokens]
    reader.finish()
    return tokens, scalars
