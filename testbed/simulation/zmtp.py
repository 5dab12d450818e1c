"""ZMTP 3.1 as libzmq 4.3.5 speaks it: the sizes of its elements, and of its writes to TCP.

https://rfc.zeromq.org/spec/37. A frame is a byte of flags, its size in one byte or in eight, and
its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, auto

_BUFFER = 8192
"""Bytes that the encoder gathers before it writes; ZeroMQ's default out_batch_size."""
_LONGEST_SHORT = 255
_SHORT_HEADER, _LONG_HEADER = 2, 9

_READY = 1 + len("READY") + 1 + len("Socket-Type") + 4 + len("ROUTER") + 1 + len("Identity") + 4


class Element(Enum):
    """A part of the stream besides messages; C is the device, which connects, S the verifier."""

    SIGNATURE = auto()
    """C: the first 10 bytes of its greeting, once TCP is connected."""
    SIGNATURE_AND_VERSION = auto()
    """S: 11 bytes, since it takes the connection when C's first bytes are there already."""
    VERSION_AND_REST = auto()
    """C: the other 54 of the 64 bytes."""
    REST = auto()
    """S: the other 53."""
    ROUTER_READY = auto()
    """S: its socket's type, and an identity without bytes."""
    DEALER_READY = auto()
    """C: its socket's type and identity."""
    PING = auto()
    PONG = auto()


ANSWERS: dict[Element, tuple[Element, ...]] = {
    Element.SIGNATURE: (Element.SIGNATURE_AND_VERSION,),
    Element.SIGNATURE_AND_VERSION: (Element.VERSION_AND_REST,),
    Element.VERSION_AND_REST: (Element.REST, Element.ROUTER_READY),
    Element.REST: (Element.DEALER_READY,),
    Element.PING: (Element.PONG,),
}
"""The elements that an end writes once it has received one, each in a write of its own."""


def element_sizes(identity: bytes) -> dict[Element, int]:
    """Return the bytes of each element; `identity` is that of the DEALER."""
    return {
        Element.SIGNATURE: 10,
        Element.SIGNATURE_AND_VERSION: 11,
        Element.VERSION_AND_REST: 54,
        Element.REST: 53,
        Element.ROUTER_READY: frame_size(_READY),
        Element.DEALER_READY: frame_size(_READY + len(identity)),
        Element.PING: frame_size(1 + len("PING") + 2),
        Element.PONG: frame_size(1 + len("PONG")),
    }


def frame_size(body: int) -> int:
    """Return the bytes of a frame with a body of so many bytes."""
    return _header(body) + body


def writes(bodies: Iterable[int]) -> Iterator[int]:
    """Yield the sizes of the writes of a message, from those of its frames' bodies.

    Headers and bodies are copied into a buffer, which is written when it is full and at the end of
    the message. What is left of a body is written from where it lies if it would fill the buffer.
    """
    buffered = 0
    for body in bodies:
        for part in (_header(body), body):
            left = part
            while left:
                if not buffered and left >= _BUFFER:
                    yield left
                    break
                copied = min(left, _BUFFER - buffered)
                buffered += copied
                left -= copied
                if buffered == _BUFFER:
                    yield buffered
                    buffered = 0
    if buffered:
        yield buffered


def _header(body: int) -> int:
    return _SHORT_HEADER if body <= _LONGEST_SHORT else _LONG_HEADER
