"""The interface of impairments: a key of links, an effect on packets, and its form in netem."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from testbed.config.by_file import find_classes, keyed
from testbed.links.keyed_random import RandomKey
from testbed.links.packet import Packet
from testbed.links.quantities import Fraction

Sign: TypeAlias = Literal["missing", "copied", "early"]
"""The sign of a packet at its receiver: it is missing, comes twice, or before its delay."""


class Setting(NamedTuple):
    """A setting of netem: the value that was set, and the value that the kernel reports."""

    name: str
    wanted: float
    shown: float


class Impairment(ABC):
    """An effect that one direction of a link may have on each packet.

    One instance serves one direction and may keep state between packets. All random numbers must
    come from KeyedUniform. A subclass in a module of this package is found without registration;
    its `key` becomes a key of scenarios and a field of LinkSpec. Values must be shares or counts,
    which do not change when time is dilated.
    """

    key: ClassVar[str]
    summary: ClassVar[str]
    """A description for editors of scenarios, in one sentence."""
    kind: ClassVar[Any] = Fraction
    """The type of values in scenarios, a testbed.config.written.Written."""
    default: ClassVar[Any] = 0.0
    """The value without any effect."""
    position: ClassVar[int]
    """The position in the order of impairments; packets meet lower ones first."""
    seen_as: ClassVar[Sign | None] = None
    """The sign of the packets that it strikes.

    `testbed calibrate` counts them by it, and compares their share with the value, a probability or
    a GilbertElliott. With None it reports that it does not measure this impairment."""
    no_netem: ClassVar[str] = "it knows none"
    """The reason why netem cannot emulate it, for messages."""

    @abstractmethod
    def __init__(self, key: RandomKey) -> None:
        """Create the impairment of one direction; `key` is the key of its random numbers."""

    @classmethod
    def check(cls, value: Any) -> None:
        """Raise ValueError, with the reason, for a value that is not possible."""
        if not 0 <= value <= 1:
            raise ValueError("it must lie between 0% and 100%")

    @classmethod
    def idle(cls, value: Any) -> Iterator[tuple[str, str]]:
        """Yield each key of a link that has no effect with `value`, and why."""
        yield from ()

    @classmethod
    def spoiled(cls, value: Any) -> float:
        """Return the share, of packets not lost by `loss`, that receivers do not get or drop."""
        return 0.0

    @classmethod
    def unsupported(cls, value: Any) -> str:
        """Return the key and reason if netem cannot emulate `value` exactly, else ''."""
        return f"{cls.key} ({cls.no_netem})"

    @classmethod
    def netem_arguments(cls, value: Any) -> list[str]:
        """Return the arguments of tc for a supported value."""
        return []

    @classmethod
    def netem_settings(cls, value: Any, options: Mapping[str, Any]) -> list[Setting]:
        """Return `value`, which may be the default, beside the options that tc reports in JSON."""
        return []


class ArrivalImpairment(Impairment):
    """An impairment that packets meet when they arrive, before the queue."""

    @abstractmethod
    def arrive(self, packet: Packet, value: Any) -> Sequence[Packet]:
        """Return the packets that go on: none if it is lost, two if it is duplicated.

        Called once per packet, in order, while `value` is in force and not the default.
        """


class FlightImpairment(Impairment):
    """An impairment of packets that have been sent, before delay and jitter hold them."""

    @abstractmethod
    def overtakes(self, number: int, value: Any) -> bool:
        """Return True if packet `number` is not held for delay and jitter."""


@functools.cache
def impairments() -> tuple[type[Impairment], ...]:
    """Return the impairments of this package, in the order in which packets meet them."""
    found = keyed(
        find_classes("testbed.links.impairments", Impairment),  # type: ignore[type-abstract]
        lambda kind: [kind.key],
    )
    for kind in found.values():
        if not issubclass(kind, ArrivalImpairment | FlightImpairment):
            raise TypeError(f"{kind.__module__}.{kind.__name__} does nothing to packets")
        if kind.seen_as not in (None, *get_args(Sign)):
            raise TypeError(
                f"{kind.__module__}.{kind.__name__}: seen_as is {kind.seen_as!r}; it must be one "
                f"of {', '.join(get_args(Sign))}, or None"
            )
    return tuple(sorted(found.values(), key=lambda kind: (kind.position, kind.key)))
