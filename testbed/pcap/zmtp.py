"""The elements of one direction of a ZeroMQ connection: greeting, commands, and messages.

ZMTP 3.1, https://rfc.zeromq.org/spec/37. A frame is a byte of flags, its size in one byte or in
eight, and its body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from testbed.errors import TestbedError
from testbed.protocol.messages import Message, ProtocolError, from_frames

GREETING = 64
"""Bytes of the greeting that each side sends first."""
MORE, LONG, COMMAND = 0x01, 0x02, 0x04

Use = Literal["zmtp", "messages", "payload"]
"""ZeroMQ's own bytes, headers of the testbed's messages, and payloads of codecs."""


class Span(NamedTuple):
    """A range of bytes of the stream with one use."""

    start: int
    end: int
    use: Use


@dataclass(frozen=True)
class Element:
    """A greeting, a command or a message."""

    name: str
    """The name of a command, the type of a message, or 'greeting'."""
    spans: tuple[Span, ...]
    message: Message | None = None
    """None for greetings and commands."""

    @property
    def end(self) -> int:
        """The offset in the stream at which it ends."""
        return self.spans[-1].end


def elements(stream: bytes | bytearray) -> Iterator[Element]:
    """Yield the elements of a stream from its first byte on, except a last one that is cut off.

    Raises TestbedError when the stream is not ZMTP 3, or holds a message that is not the testbed's.
    """
    if len(stream) < GREETING:
        return
    if stream[0] != 0xFF or stream[9] != 0x7F or stream[10] != 3:
        raise TestbedError("it does not begin as ZMTP 3 does")
    yield Element("greeting", (Span(0, GREETING, "zmtp"),))
    at, parts, spans = GREETING, list[bytes](), list[Span]()
    while (frame := frame_at(stream, at)) is not None:
        flags, begin, end = frame
        body = bytes(stream[begin:end])
        if flags & COMMAND:
            yield Element(_command(body), (Span(at, end, "zmtp"),))
        else:
            spans += [Span(at, begin, "zmtp"), Span(begin, end, "payload" if parts else "messages")]
            parts.append(body)
            if not flags & MORE:
                message = _message(parts)
                yield Element(type(message).__name__, tuple(spans), message)
                parts, spans = [], []
        at = end


def frame_at(stream: bytes | bytearray, at: int) -> tuple[int, int, int] | None:
    """Return the flags and the begin and end of the body of a frame; None if it is cut off."""
    if at >= len(stream):
        return None
    flags = stream[at]
    begin = at + (9 if flags & LONG else 2)
    end = begin + int.from_bytes(stream[at + 1 : begin], "big")
    return None if end > len(stream) else (flags, begin, end)


def _command(body: bytes) -> str:
    return body[1 : 1 + body[0]].decode("ascii", "replace")


def _message(parts: list[bytes]) -> Message:
    try:
        return from_frames(parts)[0]
    except ProtocolError as error:
        raise TestbedError(f"a captured message is not one of the testbed's: {error}") from None
