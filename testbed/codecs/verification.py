"""The verifier's answer to a round: how many drafts were accepted, and the token that follows."""

from __future__ import annotations

from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError, width
from testbed.codecs.tokens import read_tokens, write_tokens


def write_verification(accepted: int, token: int, drafts: int, vocabulary_size: int) -> Payload:
    """Write the number of accepted ones of `drafts` drafts, and the token that follows."""
    writer = BitWriter()
    writer.write(accepted, width(drafts + 1))
    write_tokens(writer, [token], vocabulary_size)
    return writer.payload()


def read_verification(data: bytes, drafts: int, vocabulary_size: int) -> tuple[int, int]:
    """Read what `write_verification` wrote. Raises PayloadError on damage."""
    reader = BitReader(data)
    accepted = read_accepted_count(reader, drafts)
    (token,) = read_tokens(reader, 1, vocabulary_size)
    reader.finish()
    return accepted, token


def read_accepted_count(reader: BitReader, drafts: int) -> int:
    """Read the number of accepted drafts. Raises PayloadError when it exceeds `drafts`."""
    accepted = reader.read(width(drafts + 1))
    if accepted > drafts:
        raise PayloadError(f"{accepted} of {drafts} drafts arrived as accepted")
    return accepted
