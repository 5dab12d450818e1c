"""Deficit round robin: all flows get equal shares of bytes (Shreedhar and Varghese 1996)."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from testbed.links.packet import Packet
from testbed.links.queue import FULL_FRAME

_QUANTUM = FULL_FRAME  # bytes per turn; at least a packet, so that each turn sends one
_ADDRESSES = {b"\x08\x00": slice(26, 34), b"\x86\xdd": slice(22, 54)}  # by EtherType: IPv4, IPv6


@dataclass(slots=True)
class _Flow:
    packets: deque[Packet] = field(default_factory=deque)
    size: int = 0
    deficit: int = _QUANTUM
    """The bytes that the flow may still send in this turn."""


class RoundRobin:
    """Waiting packets in one queue per flow, a flow being a pair of IP addresses.

    Flows take turns in the order in which they began to wait. In a turn a flow may send a quantum
    of bytes. If its next packet is larger than the rest of the quantum, it keeps the rest for its
    next turn; a flow with nothing more to send keeps nothing. Packets of one flow stay in order.
    Packets without IP addresses are one flow.

    The interface is that of a deque: `append` adds a packet, `popleft` removes the one to be sent
    next, `pop` the one to be dropped when there is no room. The latter is the head of the longest
    queue, in bytes, as in FQ-CoDel (RFC 8290, section 4.1.2). So the flow that fills the buffer
    loses packets, and a flow within its share loses none. It is a head, not a tail, so that the
    receiver sees the gap sooner.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[bytes, _Flow] = OrderedDict()  # with packets, in order of turns
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, packet: Packet) -> None:
        """Add a packet to the queue of its flow."""
        key = addresses(packet.frame)
        if key not in self._flows:
            self._flows[key] = _Flow()
        flow = self._flows[key]
        flow.packets.append(packet)
        flow.size += len(packet.frame)
        self._length += 1

    def popleft(self) -> Packet:
        """Remove and return the packet to be sent next; there must be one."""
        while True:
            key, flow = next(iter(self._flows.items()))
            size = len(flow.packets[0].frame)
            if size <= flow.deficit:
                flow.deficit -= size
                return self._take(key)
            flow.deficit += _QUANTUM
            self._flows.move_to_end(key)

    def pop(self) -> Packet:
        """Remove and return the packet to be dropped; there must be one."""
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
    """Return source and destination address of a frame's IP packet; b"" if it carries none."""
    span = _ADDRESSES.get(frame[12:14])
    return frame[span] if span else b""
