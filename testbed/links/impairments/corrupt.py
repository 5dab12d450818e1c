"""Bit errors."""

from typing_extensions import override

from testbed.links.impairments.base import ArrivalImpairment
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.packet import Packet

_HEADER = 14  # bytes: a wrong Ethernet address would hide the error from the receiver's checksums


class Corruption(ArrivalImpairment):
    """Flips one bit behind the Ethernet header of a packet with a given probability."""

    key = "corrupt"
    summary = "probability that one bit behind the Ethernet header is wrong"
    position = 20
    seen_as = "missing"  # by its checksum the receiver drops it
    no_netem = "it hits Ethernet headers too; the bridge drops those uncounted"

    def __init__(self, key: RandomKey) -> None:
        self._struck = KeyedUniform(key, "corrupt")
        self._bit = KeyedUniform(key, "bit")

    @override
    @classmethod
    def spoiled(cls, value: float) -> float:
        return value

    @override
    def arrive(self, packet: Packet, value: float) -> list[Packet]:
        bits = (len(packet.frame) - _HEADER) * 8
        if bits <= 0 or self._struck(packet.number) >= value:
            return [packet]
        bit = _HEADER * 8 + int(self._bit(packet.number) * bits)
        wrong = bytearray(packet.frame)
        wrong[bit // 8] ^= 1 << bit % 8
        return [packet._replace(frame=bytes(wrong))]
