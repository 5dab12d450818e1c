"""Impairments of packets: a key of links, what is done to packets, and whether netem can do it."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from testbed.config.by_file import find_classes
from testbed.links.keyed_random import RandomKey
from testbed.links.packet import Packet
from testbed.links.quantities import Fraction


class Setting(NamedTuple):
    """A setting of netem: what was asked, what the kernel shows."""

    name: str
    wanted: float
    shown: float


class Impairment(ABC):
    """An effect that one direction of a link may have on each packet.

    One instance serves one direction, so it may keep state between packets; what is random in it
    comes from KeyedUniform alone. A subclass in a module of its own in this package is found by
    its `key`, which becomes a key of scenarios and a field of LinkSpec; nothing else has to be
    registered. Its values are shares and counts, which dilated time leaves as they are.
    """

    key: ClassVar[str]
    summary: ClassVar[str]
    """One sentence for editors of scenarios."""
    kind: ClassVar[Any] = Fraction
    """The form in which values are written, a testbed.config.written.Written."""
    default: ClassVar[Any] = 0.0
    """The value with which nothing happens."""
    place: ClassVar[int]
    """Packets meet lower places first."""
    no_netem: ClassVar[str] = "it knows none"
    """Why netem cannot do it."""

    @abstractmethod
    def __init__(self, key: RandomKey) -> None:
        """`key` fixes all that is random."""

    @classmethod
    def check(cls, value: Any) -> None:
        """Raise ValueError with the reason for a value that no link can have."""
        if not 0 <= value <= 1:
            raise ValueError("it must lie between 0% and 100%")

    @classmethod
    def idle(cls, value: Any) -> Iterator[tuple[str, str]]:
        """Yield each key of a link that has no effect with `value`, and why."""
        yield from ()

    @classmethod
    def spoiled(cls, value: Any) -> float:
        """Return the share of the packets not lost by `loss` that receivers never get or drop."""
        return 0.0

    @classmethod
    def unsupported(cls, value: Any) -> str:
        """Return what of `value` netem cannot do exactly, as its key and the reason, or ''."""
        return f"{cls.key} ({cls.no_netem})"

    @classmethod
    def netem_arguments(cls, value: Any) -> list[str]:
        """Return the words of tc's command line; only for what is supported."""
        return []

    @classmethod
    def netem_settings(cls, value: Any, options: Mapping[str, Any]) -> list[Setting]:
        """Compare `value`, also the default, with the options that tc reads back in JSON."""
        return []


class ArrivalImpairment(Impairment):
    """Meets packets as they arrive, before they queue."""

    @abstractmethod
    def arrive(self, packet: Packet, value: Any) -> Sequence[Packet]:
        """Return what goes on of a packet: none if it is lost, two if it is doubled.

        Asked once for each packet that reaches its place, in order, while `value` is in force and
        not the default.
        """


class FlightImpairment(Impairment):
    """Meets packets that have been sent, before delay and jitter hold them."""

    @abstractmethod
    def overtakes(self, number: int, value: Any) -> bool:
        """Return True if packet `number` is not held at all."""


@functools.cache
def impairments() -> tuple[type[Impairment], ...]:
    """Return the impairments of this package, in the order in which packets meet them."""
    found = find_classes("testbed.links.impairments", Impairment)  # type: ignore[type-abstract]
    return tuple(sorted(found, key=lambda kind: (kind.place, kind.key)))
