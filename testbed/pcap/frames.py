"""The frames of a capture: what their headers say, and the bytes that they carry.

Headers are read by hand, since a run has many thousands of frames and Scapy takes a tenth of a
millisecond for each; Scapy's layers for what they carry are testbed.pcap.scapy_layers.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from testbed.errors import TestbedError
from testbed.pcap.capture_file import read_packets

FIN, SYN, RST = 0x01, 0x02, 0x04
ETHERNET = 14
"""Bytes of an Ethernet header."""
_IPV4, _TCP = 0x0800, 6
_PORTS_TO_FLAGS = struct.Struct("!HHIIBB")


class Flow(NamedTuple):
    """One direction of a TCP connection."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class Frame(NamedTuple):
    """One Ethernet frame."""

    t: int
    """When it was captured, in ns of the clock that was asked for."""
    size: int
    """Bytes, as interfaces count them: Ethernet header included, checksum not."""
    source: str
    """The Ethernet address that it came from."""
    ip: int = 0
    """Bytes of the IP header."""
    tcp: int = 0
    """Bytes of the TCP header; 0 where there is none."""
    flow: Flow | None = None
    """None where there is no TCP."""
    sequence: int = 0
    id: int = 0
    """IP's: Linux counts them for each connection, so that copies of the same bytes differ."""
    flags: int = 0
    payload: bytes = b""


def read_frames(path: Path, *, ahead: int = 0, dilation: float = 1.0) -> Iterator[Frame]:
    """The frames of a capture in the order they came.

    `ahead` is by how many ns the capture's clock is ahead of the monotonic one, and `dilation` what
    testbed.clock then divides by. Raises TestbedError when it cannot be read, or frames were cut.
    """
    for packet in read_packets(path):
        if len(packet.data) < packet.size:
            raise TestbedError(f"{path}: holds {len(packet.data)} of a frame's {packet.size} B")
        yield _frame(round((packet.t - ahead) / dilation), packet.data)


def _frame(t: int, data: bytes) -> Frame:
    size, source = len(data), data[6:12].hex(":")
    if size < ETHERNET + 20 or int.from_bytes(data[12:14], "big") != _IPV4:
        return Frame(t, size, source)
    ip = 4 * (data[ETHERNET] & 0x0F)
    begin = ETHERNET + ip
    if data[ETHERNET + 9] != _TCP or size < begin + 20:
        return Frame(t, size, source, ip)
    port, its_port, sequence, _, offset, flags = _PORTS_TO_FLAGS.unpack_from(data, begin)
    tcp = 4 * (offset >> 4)
    end = ETHERNET + int.from_bytes(data[ETHERNET + 2 : ETHERNET + 4], "big")
    addresses = (socket.inet_ntoa(data[ETHERNET + at : ETHERNET + at + 4]) for at in (12, 16))
    flow = Flow(next(addresses), port, next(addresses), its_port)
    number = int.from_bytes(data[ETHERNET + 4 : ETHERNET + 6], "big")
    return Frame(t, size, source, ip, tcp, flow, sequence, number, flags, data[begin + tcp : end])
