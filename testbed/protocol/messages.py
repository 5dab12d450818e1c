"""What device and verifier say to each other. Types only, no I/O.

A message is two frames: a header (one of the structs below, MessagePack arrays, with a checksum of
both frames behind it) and the payload that the method's codec wrote. Many codecs have a meaning for
every bit pattern, so damage would not show in the payload itself. Every header carries the protocol
version and the session; rounds carry their number and the *base*: how many tokens of the text the
verifier must already have.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any

import msgspec

from testbed.bounds import Int64
from testbed.decoding.sampling import Sampling
from testbed.errors import TestbedError

VERSION = 2
PORT = 5555
"""TCP port at which the verifier of a run listens."""
MAX_MESSAGE = 64 << 20
"""Bytes; the largest message either side takes in."""
NO_SESSION = 0
"""In a refusal of a message that could not be read."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(max_length=1000)]


class Header(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What every message starts with."""

    version: Count
    session: Count


class Open(Header, tag=1, kw_only=True):
    """Device: start a text, or start it again. Payload: its first `length` token ids."""

    method: str
    options: dict[str, Any]
    sampling: Sampling
    seed: Int64
    repetition: Int64
    stream: Name
    limit: Count
    """Tokens wanted in all, prompt included; a verifier that streams stops there."""
    end_tokens: list[int]
    """Ids that finish the text; none when it is to be decoded to its limit regardless."""
    vocabulary_id: str
    vocabulary_size: Count
    draft: str
    """Name of the draft model, for messages."""
    length: Count


class Opened(Header, tag=2, kw_only=True):
    """Verifier: the text is known."""

    length: Count


class Round(Header, tag=3, kw_only=True):
    """Device: a round of the method. Payload: the method's upload."""

    round: Count
    base: Count
    catch_up: list[Count]
    """Tokens that stand in the text at `base` and that the verifier has not seen."""
    drafts: Count
    received: Count = 0
    """On a resend: how many parts of the answer have arrived."""


class Reply(Header, tag=4, kw_only=True):
    """Verifier: one part of the answer to a round. Payload: the method's download."""

    round: Count
    part: Count
    last: bool
    length: Count
    """Tokens of the text that the verifier has after this round."""
    busy_us: Count
    """Microseconds that the verifier worked on this part."""


class Resync(Header, tag=5, kw_only=True):
    """Verifier: the base of this round is not where I am; I have `length` tokens."""

    round: Count
    length: Count


class Unknown(Header, tag=6, kw_only=True):
    """Verifier: I do not know this session; open it again."""

    round: Count


class Refused(Header, tag=7, kw_only=True):
    """Verifier: this cannot be done, for the reason given."""

    reason: str


class Close(Header, tag=8):
    """Device: the text is finished."""


Message = Open | Opened | Round | Reply | Resync | Unknown | Refused | Close


class ProtocolError(TestbedError):
    """The other side does not speak this protocol."""


def place(message: Message) -> dict[str, int]:
    """Which round a message belongs to, and which part of its answer it is, as far as it says."""
    return {name: getattr(message, name) for name in ("round", "part") if hasattr(message, name)}


CHECKSUM_SIZE = 4
"""Bytes behind a header."""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def to_frames(message: Message, payload: bytes = b"") -> list[bytes]:
    """Header frame and payload frame."""
    header = _encoder.encode(message)
    return [header + _checksum(header, payload), payload]


def from_frames(frames: list[bytes]) -> tuple[Message, bytes]:
    """Inverse of `to_frames`. Raises ProtocolError on damage, another version, anything else."""
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
        raise ProtocolError(f"the other side speaks version {message.version}, this is {VERSION}")
    return message, frames[1]


def decode_header(packed: bytes) -> Message:
    """What a header says, without its checksum. Raises msgspec.MsgspecError if it is none."""
    return _decoder.decode(packed)


def _checksum(header: bytes, payload: bytes) -> bytes:
    """CRC-32 of both frames."""
    return zlib.crc32(payload, zlib.crc32(header)).to_bytes(CHECKSUM_SIZE, "big")
