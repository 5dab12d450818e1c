"""Deficit round robin: each flow the same share of bytes (Shreedhar and Varghese 1996)."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from testbed.links.packet import Packet
from testbed.links.queue import FULL_FRAME

_QUANTUM = FULL_FRAME  # bytes a turn; not less than a packet, so that each turn sends one
_ADDRESSES = {b"\x08\x00": slice(26, 34), b"\x86\xdd": slice(22, 54)}  # by EtherType: IPv4, IPv6


@dataclass(slots=True)
class _Flow:
    packets: deque[Packet] = field(default_factory=deque)
    size: int = 0
    deficit: int = _QUANTUM
    """Bytes that it may still send in this turn."""


class RoundRobin:
    """Packets that wait in one queue per flow, a flow being a pair of IP addresses.

    Flows take turns in the order in which they began to wait, and a turn is worth a quantum of
    bytes; what a flow leaves of it because its next packet is larger it keeps for its next turn,
    unless it has nothing more to send. Packets of one flow keep their order; those without IP
    addresses are one flow.

    It takes the place of a deque: `append` lets a packet wait, `popleft` takes out the one to be
    sent next, and `pop` the one to be dropped when there is no room. That is the head of the
    longest queue, in bytes, as in FQ-CoDel (RFC 8290, section 4.1.2): whoever fills the buffer pays
    for it, and a flow that keeps within its share loses nothing; a head rather than a tail, so
    that the receiver sees the gap sooner.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[bytes, _Flow] = OrderedDict()  # that wait, the next turn first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, packet: Packet) -> None:
        """A packet comes."""
        key = addresses(packet.frame)
        if key not in self._flows:
            self._flows[key] = _Flow()
        flow = self._flows[key]
        flow.packets.append(packet)
        flow.size += len(packet.frame)
        self._length += 1

    def popleft(self) -> Packet:
        """The next to be sent; there must be one."""
        while True:
            key, flow = next(iter(self._flows.items()))
            size = len(flow.packets[0].frame)
            if size <= flow.deficit:
                flow.deficit -= size
                return self._take(key)
            flow.deficit += _QUANTUM
            self._flows.move_to_end(key)

    def pop(self) -> Packet:
        """The one to be dropped; there must be one."""
        return self._take(max(self._flows, key=lambda key: self._flows[key].size))

    def _take(self, key: bytes) -> Packet:
        flow = self._flows[key]
        packet = flow.packets.popleft()
        flow.size -= len(packet.frame)
        self._length -= 1
        if not flow.packets:
            del self._flows[key]
        return packet


def addresses(frame: bytes) -> bytes:
    """Source and destination of an Ethernet frame's IP packet; empty if it carries none."""
    place = _ADDRESSES.get(frame[12:14])
    return frame[place] if place else b""
