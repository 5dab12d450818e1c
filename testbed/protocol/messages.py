"""The messages between device and verifier. Types only, no I/O.

A message is two frames: a header and a payload. The header is one of the structs below as a
MessagePack array, followed by a checksum of both frames. The payload is what the method's codec
wrote. The checksum is needed because many codecs can decode every bit pattern, so damage would not
show. Every header carries the protocol version and the session. A round carries its number and its
*base*: the number of tokens that the verifier must already have.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any

import msgspec

from testbed.bounds import Int64
from testbed.decoding.sampling import Sampling
from testbed.errors import TestbedError

VERSION = 3
PORT = 5555
"""TCP port at which the verifier of a run listens."""
MAX_MESSAGE = 64 << 20
"""The largest message that either side accepts, in bytes."""
NO_SESSION = 0
"""The session in the refusal of a message that could not be read."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(max_length=1000)]


class Header(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The fields that every message starts with."""

    version: Count
    session: Count


class Open(Header, tag=1, kw_only=True):
    """Device: start a generation, or start it again. Payload: its first `length` token ids."""

    method: str
    options: dict[str, Any]
    sampling: Sampling
    seed: Int64
    repetition: Int64
    stream: Name
    limit: Count
    """Tokens in all, with the prompt; a verifier that streams stops there."""
    end_tokens: list[int]
    """Ids that end the generation; empty to generate up to the limit regardless."""
    vocabulary_id: str
    vocabulary_size: Count
    draft: str
    """The draft model's name, for error messages."""
    length: Count


class Opened(Header, tag=2, kw_only=True):
    """Verifier: the session is open."""

    length: Count


class Round(Header, tag=3, kw_only=True):
    """Device: a round of the method. Payload: the method's upload."""

    round: Count
    base: Count
    catch_up: list[Count]
    """Committed tokens from position `base` on that the verifier does not have yet."""
    drafts: Count
    received: Count = 0
    """On a resend: the number of parts of the answer that have arrived."""


class Reply(Header, tag=4, kw_only=True):
    """Verifier: one part of the answer to a round. Payload: the method's download."""

    round: Count
    part: Count
    last: bool
    length: Count
    """The number of tokens that the verifier has after this part."""
    busy_s: Annotated[float, msgspec.Meta(ge=0)]
    """Seconds that the verifier worked on this part.

    A number of floating point has the same size in every message, so that sizes do not depend on
    time."""


class Resync(Header, tag=5, kw_only=True):
    """Verifier: the base of this round is wrong; the verifier has `length` tokens."""

    round: Count
    length: Count


class Unknown(Header, tag=6, kw_only=True):
    """Verifier: the session is unknown; open it again."""

    round: Count


class Refused(Header, tag=7, kw_only=True):
    """Verifier: the request cannot be carried out; `reason` is shown to the user."""

    reason: str


class Close(Header, tag=8):
    """Device: the generation is finished; the verifier may drop the session."""


Message = Open | Opened | Round | Reply | Resync | Unknown | Refused | Close


class ProtocolError(TestbedError):
    """A message is damaged, or not of this protocol and version."""


def round_and_part(message: Message) -> dict[str, int]:
    """Return a message's `round` and `part`, as far as it has them, for the trace."""
    return {name: getattr(message, name) for name in ("round", "part") if hasattr(message, name)}


CHECKSUM_SIZE = 4
"""Bytes of the checksum behind a header."""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def to_frames(message: Message, payload: bytes = b"") -> list[bytes]:
    """Return the header frame and the payload frame of a message."""
    header = _encoder.encode(message)
    return [header + _checksum(header, payload), payload]


def from_frames(frames: list[bytes]) -> tuple[Message, bytes]:
    """Return message and payload, as `to_frames` took them; raise ProtocolError on other frames."""
    if len(frames) != 2:
        raise ProtocolError(f"a message of {len(frames)} frames arrived; expected 2")
    header, checksum = frames[0][:-CHECKSUM_SIZE], frames[0][-CHECKSUM_SIZE:]
    if checksum != _checksum(header, frames[1]):
        raise ProtocolError("a message could not be read: header and payload fail their checksum")
    try:
        message = decode_header(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a message could not be read: {error}") from None
    if message.version != VERSION:
        raise ProtocolError(f"the other end uses version {message.version}, this one {VERSION}")
    return message, frames[1]


def decode_header(packed: bytes) -> Message:
    """Decode a header without its checksum; raise msgspec.MsgspecError if it is not a header."""
    return _decoder.decode(packed)


def _checksum(header: bytes, payload: bytes) -> bytes:
    """Return the CRC-32 of both frames."""
    return zlib.crc32(payload, zlib.crc32(header)).to_bytes(CHECKSUM_SIZE, "big")
