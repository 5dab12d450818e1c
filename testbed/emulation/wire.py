"""The wire of a link: a namespace with one port per host, where a backend shapes the packets."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError
from testbed.links.schedule import Schedule
from testbed.links.schedule_cursor import Applied
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.wire_counters import WireCounters

PORT_A = "port-a"  # towards the link's first-declared node
PORT_B = "port-b"  # towards the second


class Wire(ABC):
    """A shaped link: direction up is shaped at the egress of port b, down at that of port a."""

    backend: str

    def __init__(self, name: str, inside: Namespace, duplex: Duplex) -> None:
        self.name = name
        self.inside = inside
        self.ports = (PORT_A, PORT_B)
        self.duplex = duplex

    def change(self, up: LinkSpec | None = None, down: LinkSpec | None = None) -> None:
        """Change the spec of one or both directions in place; packets under way are kept.

        Raises TestbedError for another mtu, and unless the backend reads back exactly this spec.
        """
        wanted = Duplex(up=up or self.duplex.up, down=down or self.duplex.down)
        if [wanted.up.mtu, wanted.down.mtu] != [self.duplex.up.mtu, self.duplex.down.mtu]:
            raise TestbedError(f"link {self.name}: mtu cannot change while packets are under way")
        self._apply(wanted)
        self.duplex = wanted

    @abstractmethod
    def _apply(self, wanted: Duplex) -> None:
        """Apply `wanted` in the backend, read it back and compare."""

    @abstractmethod
    def counters(self) -> WireCounters:
        """Return the packet and byte counts since the wire was built."""

    @abstractmethod
    def restart(self, repetition: int, logs: Path | None) -> None:
        """Reset packet numbers and randomness, start the schedule, and log packets in `logs`.

        repetition: keys the randomness, with the seed. logs: a folder, or None for no logs. A
        backend without seeds or logs only starts the schedule.

        Raises TestbedError when packets go on waiting to be sent: they would delay the packets of
        the log, and would not be in it.
        """

    @abstractmethod
    def end_logs(self) -> None:
        """End the packet logs, if there are any; later packets are in no log."""

    @abstractmethod
    def begin(self, at: float) -> None:
        """Set time 0 of the schedule to `at`, in seconds of testbed.clock.

        It lets all links begin at the same time, however long the restart of each took.
        """

    @abstractmethod
    def begin_traces(self, at: float) -> None:
        """Set time 0 of delivery traces to `at`, of testbed.clock, until the next `begin`."""

    @abstractmethod
    def follow(self, schedule: Schedule) -> None:
        """Set the schedule of changes that starts at each restart, from the wire's own spec."""

    @abstractmethod
    def began(self) -> float | None:
        """Return time 0 of the schedule since the last restart; None until it has come."""

    @abstractmethod
    def applied(self) -> list[Applied]:
        """Return the changes of the schedule made since the last restart, in order."""

    @abstractmethod
    def pin(self, core: int) -> None:
        """Bind the process that carries the packets, if there is one, to one processor."""

    @abstractmethod
    def forget_lateness(self) -> None:
        """Reset the record of lateness, if the backend keeps one."""

    @abstractmethod
    def check(self) -> None:
        """Raise TestbedError if the wire no longer does what was applied."""

    @abstractmethod
    def state(self) -> Mapping[str, Any]:
        """Return the settings that the backend reports, as JSON-able values."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the wire, which carries no packet from then on. Stopping twice is allowed."""
