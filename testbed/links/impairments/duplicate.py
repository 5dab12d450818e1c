"""Packets that arrive twice."""

from typing_extensions import override

from testbed.links.impairments.base import ArrivalImpairment
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.packet import Packet


class Duplication(ArrivalImpairment):
    """Puts each packet into the queue twice with a given probability."""

    key = "duplicate"
    summary = "probability that a packet that is not lost enters the queue twice"
    position = 30
    seen_as = "copied"
    no_netem = "it does not count its copies"

    def __init__(self, key: RandomKey) -> None:
        self._uniform = KeyedUniform(key, "duplicate")

    @override
    def arrive(self, packet: Packet, value: float) -> list[Packet]:
        return [packet] * (2 if self._uniform(packet.number) < value else 1)
