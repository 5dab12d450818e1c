"""Packets that arrive twice."""

from typing_extensions import override

from testbed.links.impairments.base import ArrivalImpairment
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.packet import Packet


class Duplication(ArrivalImpairment):
    """Lets each packet enter the queue twice with the same probability."""

    key = "duplicate"
    summary = "probability that a packet that is not lost enters the queue twice"
    place = 30
    no_netem = "it does not count its copies"

    def __init__(self, key: RandomKey) -> None:
        self._uniform = KeyedUniform(key, "duplicate")

    @override
    def arrive(self, packet: Packet, value: float) -> list[Packet]:
        return [packet] * (2 if self._uniform(packet.number) < value else 1)
