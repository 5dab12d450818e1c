"""Packets that overtake others."""

from collections.abc import Iterator

from typing_extensions import override

from testbed.links.impairments.base import FlightImpairment
from testbed.links.keyed_random import KeyedUniform, RandomKey


class Reordering(FlightImpairment):
    """Lets each packet pass the delay and jitter at once with a given probability."""

    key = "reorder"
    summary = "probability that a packet is not held for delay and jitter, so that it overtakes"
    position = 40
    seen_as = "early"
    no_netem = "it lets such packets past the rate, too"

    def __init__(self, key: RandomKey) -> None:
        self._uniform = KeyedUniform(key, "reorder")

    @override
    @classmethod
    def idle(cls, value: float) -> Iterator[tuple[str, str]]:
        if value == 1:
            yield "delay", "reorder is 100%, so that no packet is held"

    @override
    def overtakes(self, number: int, value: float) -> bool:
        return self._uniform(number) < value
