"""The wire between two hosts: a namespace with one port per host, shaped by a backend."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.emulation.namespace import Namespace
from testbed.emulation.player import Applied
from testbed.errors import TestbedError
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex, LinkSpec

PORT_A = "port-a"  # towards the link's first-declared node
PORT_B = "port-b"  # towards the second


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after its due time a packet left, in seconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class DirectionCounters:
    """What became of the packets of one direction; bytes count whole Ethernet frames.

    received + duplicated = forwarded + dropped + queued. What a backend cannot tell is None: the
    kernel's netem counts all drops together and knows nothing of lateness.
    """

    received_packets: int
    received_bytes: int
    forwarded_packets: int
    forwarded_bytes: int
    dropped_packets: int
    queued_packets: int
    duplicated_packets: int = 0
    dropped_by: Counter[str] | None = None
    """Packets by reason: 'loss', 'queue', …"""
    socket_drops: int | None = None
    lateness: Lateness | None = None


@dataclass(frozen=True, slots=True)
class WireCounters:
    """The counters of both directions of a wire."""

    up: DirectionCounters
    down: DirectionCounters


class Wire(ABC):
    """One shaped link. Direction up is shaped at the egress of port b, down at port a."""

    backend: str

    def __init__(self, name: str, inside: Namespace, duplex: Duplex) -> None:
        self.name = name
        self.inside = inside
        self.ports = (PORT_A, PORT_B)
        self.duplex = duplex

    def change(self, up: LinkSpec | None = None, down: LinkSpec | None = None) -> None:
        """Shape one or both directions anew, in place; packets in flight are kept.

        Raises TestbedError unless the backend confirms exactly what was asked.
        """
        wanted = Duplex(up=up or self.duplex.up, down=down or self.duplex.down)
        if [wanted.up.mtu, wanted.down.mtu] != [self.duplex.up.mtu, self.duplex.down.mtu]:
            raise TestbedError(f"link {self.name}: mtu cannot change while packets are under way")
        self._apply(wanted)
        self.duplex = wanted

    @abstractmethod
    def _apply(self, wanted: Duplex) -> None:
        """Make the backend do `wanted` and verify that it does."""

    @abstractmethod
    def counters(self) -> WireCounters:
        """What has crossed the wire since it was built."""

    @abstractmethod
    def restart(self, repetition: int, logs: Path | None) -> None:
        """Begin packet numbers and randomness anew, and log every packet into the folder `logs`.

        What the backend has neither of is left as it is. Raises TestbedError when packets go on
        waiting to be sent, for they would hold up those of the log, and are not in it.
        """

    @abstractmethod
    def end_logs(self) -> None:
        """End the packets' logs, if there are any; what crosses from now on is in none."""

    @abstractmethod
    def begin(self, at: float) -> None:
        """Take `at`, of testbed.clock, for time 0 of the schedule since the last restart.

        So that all links begin together, however long each took to restart.
        """

    @abstractmethod
    def begin_traces(self, at: float) -> None:
        """Take `at`, of testbed.clock, for time 0 of traces of deliveries until the next begin."""

    @abstractmethod
    def follow(self, schedule: Schedule) -> None:
        """From each restart on, change as the schedule says, from what is in force without it."""

    @abstractmethod
    def began(self) -> float | None:
        """When time 0 of the schedule was since the last restart; None until it has come."""

    @abstractmethod
    def applied(self) -> list[Applied]:
        """What the schedule has changed since the last restart, in order."""

    @abstractmethod
    def pin(self, core: int) -> None:
        """Keep the process that carries the packets, if there is one, on one processor."""

    @abstractmethod
    def forget_lateness(self) -> None:
        """Judge lateness from now on, if the backend knows of it."""

    @abstractmethod
    def check(self) -> None:
        """Raise TestbedError if the wire no longer does what was applied."""

    @abstractmethod
    def state(self) -> Mapping[str, Any]:
        """What the backend reports to have applied, as JSON-able values."""

    @abstractmethod
    def stop(self) -> None:
        """Stop shaping; the wire carries nothing from then on. Stopping twice is allowed."""
