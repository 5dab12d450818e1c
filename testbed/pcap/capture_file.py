"""Read the packets of a capture file: pcap, as tcpdump writes it, or pcapng, as Wireshark does.

Formats: https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap, …-pcapng. Files that are cut off,
of another link type or without times are refused: a byte ledger needs every frame.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from testbed.errors import TestbedError
from testbed.host.machine_errors import sentence

_ETHERNET = 1
_LINK_TYPES = {
    0: "BSD loopback", 101: "raw IP", 105: "802.11", 113: "Linux cooked", 127: "802.11 with radio",
    228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2",
}  # fmt: skip
_GZIP = b"\x1f\x8b"
_PCAP = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
"""Magic numbers, each with its unit of time in ns."""
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_RESOLUTION, _OFFSET = 9, 14  # options of an interface
_MICROSECONDS = 6
_LARGEST = 1 << 24
"""Bytes; a frame or block that claims more is damaged."""


class Packet(NamedTuple):
    """A captured packet."""

    t: int
    """ns since 1970."""
    size: int
    """Its length on the wire, in bytes."""
    data: bytes
    """Its captured bytes, which may be fewer."""


class _Interface(NamedTuple):
    link_type: int
    power: int
    """Units of time per second: 10**power, or 2**-power if it is negative."""
    offset: int
    """Seconds to add to each time."""

    def nanoseconds(self, units: int) -> int:
        scaled = units * 1_000_000_000
        whole = scaled >> -self.power if self.power < 0 else scaled // 10**self.power
        return whole + self.offset * 1_000_000_000


class _DamagedError(Exception):
    """A capture is damaged; the message is the reason."""


def read_packets(path: Path) -> Iterator[Packet]:
    """Yield the packets of a capture of Ethernet frames, gzipped or not, in the order of the file.

    Raises TestbedError when the file cannot be read to its end, or its frames are not Ethernet.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == _GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield from _packets(file)  # type: ignore[arg-type]
    except (_DamagedError, OSError, EOFError, zlib.error) as error:
        why = str(error) if isinstance(error, _DamagedError) else sentence(error)
        raise TestbedError(f"{path}: is not a capture that can be read: {why}") from None


def _packets(file: IO[bytes]) -> Iterator[Packet]:
    magic = file.read(4)
    for order in "<", ">":
        number = int.from_bytes(magic, "little" if order == "<" else "big")
        if number in _PCAP:
            yield from _of_pcap(file, order, _PCAP[number])
            return
    if magic != _SECTION.to_bytes(4, "big"):
        raise _DamagedError("it begins like neither pcap nor pcapng")
    yield from _of_pcapng(file)


def _of_pcap(file: IO[bytes], order: str, unit: int) -> Iterator[Packet]:
    (link_type,) = struct.unpack(f"{order}16xI", _exactly(file, 20, "its header"))
    _require_ethernet(link_type & 0xFFFF, "it")
    while head := file.read(16):
        seconds, part, length, size = struct.unpack(
            f"{order}4I", head + _exactly(file, 16 - len(head), "the header of a frame")
        )
        data = _exactly(file, length, "a frame")
        yield Packet(seconds * 1_000_000_000 + part * unit, size, data)


def _of_pcapng(file: IO[bytes]) -> Iterator[Packet]:
    """Yield the packets of a pcapng file, of which the first block's type has been read."""
    order, interfaces = "<", list[_Interface]()
    kind = _SECTION
    while True:
        head = _exactly(file, 4, "the header of a block")
        if kind == _SECTION:  # its byte order, needed for its length, comes after the length
            magic = _exactly(file, 4, "the header of a section")
            order = "<" if int.from_bytes(magic, "little") == _BYTE_ORDER else ">"
            if struct.unpack(f"{order}I", magic) != (_BYTE_ORDER,):
                raise _DamagedError("a section does not begin with a byte order")
            interfaces = []
        (length,) = struct.unpack(f"{order}I", head)
        rest = length - (12 if kind == _SECTION else 8)
        if length % 4 or rest < 4:
            raise _DamagedError(f"a block has {length} B")
        body = _exactly(file, rest, "a block")
        if body[-4:] != head:
            raise _DamagedError("a block ends with another length than it begins with")
        yield from _of_block(kind, body[:-4], order, interfaces)
        following = file.read(4)
        if not following:
            return
        following += _exactly(file, 4 - len(following), "the header of a block")
        (kind,) = struct.unpack(f"{order}I", following)


def _of_block(kind: int, body: bytes, order: str, interfaces: list[_Interface]) -> Iterator[Packet]:
    """Yield the packet of a block, if it has one; append an interface block to `interfaces`."""
    try:
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind == _SIMPLE:
            raise _DamagedError("its packets have no times, so that it has no rounds")
        elif kind in (_PACKET, _OLD_PACKET):
            form = "IIIII" if kind == _PACKET else "HxxIIII"
            number, high, low, length, size = struct.unpack_from(f"{order}{form}", body)
            if number >= len(interfaces):
                raise _DamagedError(f"a packet names interface {number}, which is not defined")
            if 20 + length > len(body):
                raise _DamagedError("a packet is longer than its block")
            interface = interfaces[number]
            _require_ethernet(interface.link_type, f"interface {number}")
            t = interface.nanoseconds(high << 32 | low)
            yield Packet(t, size, body[20 : 20 + length])
    except struct.error:
        raise _DamagedError("a block is too short for its type") from None


def _interface(body: bytes, order: str) -> _Interface:
    (link_type,) = struct.unpack_from(f"{order}H", body)
    power, offset, at = _MICROSECONDS, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, at)
        if code == _RESOLUTION:
            power = body[at + 4]
            power = -(power & 0x7F) if power & 0x80 else power
        elif code == _OFFSET:
            (offset,) = struct.unpack_from(f"{order}q", body, at + 4)
        elif code == 0:
            break
        at += 4 + length + -length % 4
    return _Interface(link_type, power, offset)


def _require_ethernet(link_type: int, what: str) -> None:
    if link_type != _ETHERNET:
        name = _LINK_TYPES.get(link_type, "another one")
        raise _DamagedError(
            f"{what} has link type {link_type} ({name}); frames of a link are Ethernet's, link "
            f"type {_ETHERNET}"
        )


def _exactly(file: IO[bytes], size: int, what: str) -> bytes:
    """Read the next `size` bytes; `what` names them in errors."""
    if size > _LARGEST:
        raise _DamagedError(f"{what} has {size} B")
    data = file.read(size)
    if len(data) < size:
        raise _DamagedError(f"it is cut off in {what}")
    return data
