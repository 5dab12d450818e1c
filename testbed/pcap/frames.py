"""The frames of a capture: fields of their headers, and the TCP payload.

Headers are read by hand: a run has many thousands of frames, and Scapy takes 0.1 ms for each. Scapy
layers for the payload are in testbed.pcap.scapy_layers.
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
    """An Ethernet frame."""

    t: int
    """The time of its capture in ns, as `read_frames` converts it."""
    size: int
    """Bytes as interfaces count them: with the Ethernet header, without its checksum."""
    source: str
    """The source Ethernet address."""
    ip: int = 0
    """Bytes of the IP header."""
    tcp: int = 0
    """Bytes of the TCP header; 0 without one."""
    flow: Flow | None = None
    """None for a frame that is not TCP."""
    sequence: int = 0
    id: int = 0
    """The IP identification. Linux counts it per connection, so retransmissions have another."""
    flags: int = 0
    payload: bytes = b""


def read_frames(path: Path, *, ahead: int = 0, dilation: float = 1.0) -> Iterator[Frame]:
    """Yield the frames of a capture in the order of the file.

    ahead: the capture's clock minus the monotonic clock, in ns. dilation: the factor by which
    testbed.clock then divides. The defaults keep the capture's own times.

    Raises TestbedError when the capture cannot be read, or holds only a part of a frame.
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
