"""Token ids on the wire: ⌈log2 V⌉ bits each, as every paper counts them (b_id)."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError, width


def write_tokens(writer: BitWriter, tokens: Sequence[int], vocabulary_size: int) -> None:
    """Append token ids of b_id bits each. Raises ValueError on an id outside the vocabulary."""
    for token in tokens:
        if token >= vocabulary_size:
            raise ValueError(f"token {token} is outside the vocabulary of {vocabulary_size}")
        writer.write(token, width(vocabulary_size))


def read_tokens(reader: BitReader, count: int, vocabulary_size: int) -> list[int]:
    """Read `count` token ids. Raises PayloadError on an id outside the vocabulary."""
    tokens = [reader.read(width(vocabulary_size)) for _ in range(count)]
    if any(token >= vocabulary_size for token in tokens):
        raise PayloadError(f"token id {max(tokens)} is outside the vocabulary of {vocabulary_size}")
    return tokens


def encode_tokens(tokens: Sequence[int], vocabulary_size: int) -> Payload:
    """Write a payload of nothing but token ids."""
    writer = BitWriter()
    write_tokens(writer, tokens, vocabulary_size)
    return writer.payload()


def decode_tokens(data: bytes, count: int, vocabulary_size: int) -> list[int]:
    """Read what `encode_tokens` wrote. Raises PayloadError on damage."""
    reader = BitReader(data)
    tokens = read_tokens(reader, count, vocabulary_size)
    reader.finish()
    return tokens
