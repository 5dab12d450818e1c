"""Frames in virtual time: as long as real ones, with an IPv4 header and a TCP segment's counts."""

from __future__ import annotations

import functools
import struct
from typing import Any, Protocol

_HEADER = struct.Struct("!BBHHHBBH4s4s")  # RFC 791
_IP = slice(14, 34)
_DESTINATION = slice(30, 34)
_DO_NOT_FRAGMENT = 0x4000
_TTL, _TCP = 64, 6


class Carried(Protocol):
    """A segment that a frame can carry."""

    @property
    def frame_size(self) -> int:
        """The bytes of the whole Ethernet frame."""


class Frame(bytes):
    """An Ethernet frame whose IPv4 header is real, and whose other bytes are zero.

    A link that flips a bit of it makes plain bytes of it, which have no segment.
    """

    connection: int
    """The connection to which the segment belongs, which its ports would say."""
    segment: Any

    @classmethod
    def of(cls, source: bytes, destination: bytes, connection: int, segment: Carried) -> Frame:
        """Make the frame of a segment between two IPv4 addresses, each 4 bytes."""
        frame = cls(_content(source, destination, segment.frame_size))
        frame.connection = connection
        frame.segment = segment
        return frame


def destination(frame: bytes) -> bytes:
    """Return the IPv4 address, in 4 bytes, to which a frame is sent."""
    return frame[_DESTINATION]


def header_intact(frame: bytes) -> bool:
    """Return True if the checksum of a frame's IPv4 header is right."""
    return _sum(frame[_IP]) == 0


@functools.lru_cache(maxsize=4096)
def _content(source: bytes, destination: bytes, size: int) -> bytes:
    fields = (0x45, 0, size - _IP.start, 0, _DO_NOT_FRAGMENT, _TTL, _TCP)
    checksum = 0xFFFF - _sum(_HEADER.pack(*fields, 0, source, destination))
    header = _HEADER.pack(*fields, checksum, source, destination)
    return (b"\0" * 12 + b"\x08\x00" + header).ljust(size, b"\0")


def _sum(header: bytes) -> int:
    """Return the sum of a header's 16-bit words modulo 65535, as RFC 1071 adds them."""
    words: tuple[int, ...] = struct.unpack("!10H", header)
    return sum(words) % 0xFFFF
