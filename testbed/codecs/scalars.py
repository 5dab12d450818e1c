"""Ids and one scalar each: γ (b_id + b_p) bits, as DSSD (arXiv 2507.12000) sends drafts up."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.codecs.base import Drawn
from testbed.codecs.bits import BitReader, BitWriter, Payload, width
from testbed.codecs.fixed_point import FixedPoint
from testbed.codecs.tokens import read_tokens, write_tokens


def scalar_bits(codec: FixedPoint, vocabulary_size: int) -> int:
    """b_id + b_p, for one draft."""
    return width(vocabulary_size) + codec.bits


def write_scalars(drafts: Sequence[Drawn], codec: FixedPoint, vocabulary_size: int) -> Payload:
    """All ids, then the probability that each was drawn with; `codec` has quantised them."""
    writer = BitWriter()
    write_tokens(writer, [draft.token for draft in drafts], vocabulary_size)
    for draft in drafts:
        codec.write_scalar(writer, draft.q, draft.token)
    return writer.payload()


def read_scalars(
    data: bytes, drafts: int, codec: FixedPoint, vocabulary_size: int
) -> tuple[list[int], list[float]]:
    """Ids and probabilities. Raises PayloadError on damage, and on a probability of 0."""
    reader = BitReader(data)
    tokens = read_tokens(reader, drafts, vocabulary_size)
    scalars = [codec.read_scalar(reader) for _ in tokens]
    reader.finish()
    return tokens, scalars
