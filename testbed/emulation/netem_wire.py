"""A wire shaped by kernel netem: a bridge between the ports, netem at the egress of both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import apply_netem, read_qdiscs, root_netem, verify_netem
from testbed.emulation.netem_support import differences, require_support
from testbed.emulation.wire import PORT_A, PORT_B, DirectionCounters, Wire, WireCounters
from testbed.errors import TestbedError
from testbed.links.jitter import UNIFORM, as_jitter
from testbed.links.spec import Duplex, LinkSpec

_BRIDGE = "bridge"


class NetemWire(Wire):
    """Bridges the two ports of a wire and shapes each with netem."""

    backend = "netem"

    def __init__(self, name: str, inside: Namespace, duplex: Duplex) -> None:
        super().__init__(name, inside, duplex)
        require_support(name, duplex)
        self._with_table: set[str] = set()  # ports to which a law of jitter was given
        self._shape(PORT_B, duplex.up, "add")
        self._shape(PORT_A, duplex.down, "add")
        # Joined last: no packet crosses before both directions are shaped.
        inside.run(
            ["ip", "link", "add", "name", _BRIDGE, "type", "bridge",
             "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
        )  # fmt: skip
        for port in (PORT_A, PORT_B):
            inside.run(["ip", "link", "set", "dev", port, "master", _BRIDGE])
        inside.run(["ip", "link", "set", "dev", _BRIDGE, "up"])
        self._running = True

    def counters(self) -> WireCounters:
        """What has crossed the wire, from the ports' and the qdiscs' statistics."""
        return WireCounters(
            up=self._direction(PORT_A, PORT_B), down=self._direction(PORT_B, PORT_A)
        )

    def restart(self, repetition: int, logs: Path | None) -> None:
        """Nothing to do: the kernel neither seeds its losses nor logs packets."""

    def forget_lateness(self) -> None:
        """Nothing to forget: the kernel does not tell."""

    def check(self) -> None:
        """Raise TestbedError if netem no longer does what was applied."""
        if not self._running:
            raise TestbedError(f"the wire of link {self.name} was stopped")
        for port, spec in ((PORT_B, self.duplex.up), (PORT_A, self.duplex.down)):
            verify_netem(spec, read_qdiscs(self.inside, port), f"{port} of link {self.name}")

    def state(self) -> Mapping[str, Any]:
        """What `tc` shows on both ports, and in what that differs from the relay."""
        return {
            **{port: read_qdiscs(self.inside, port) for port in (PORT_A, PORT_B)},
            "differences": {
                "up": differences(self.duplex.up),
                "down": differences(self.duplex.down),
            },
        }

    def stop(self) -> None:
        """Cut the bridge."""
        if self._running:
            self._running = False
            self.inside.run(["ip", "link", "del", "dev", _BRIDGE])

    def _apply(self, wanted: Duplex) -> None:
        require_support(self.name, wanted)
        if wanted.up != self.duplex.up:
            self._shape(PORT_B, wanted.up, "change")
        if wanted.down != self.duplex.down:
            self._shape(PORT_A, wanted.down, "change")

    def _shape(self, port: str, spec: LinkSpec, verb: str) -> None:
        jitter = as_jitter(spec.jitter)
        if jitter.law != UNIFORM:
            self._with_table.add(port)
        elif jitter.spread > 0 and port in self._with_table:
            raise TestbedError(
                f"link {self.name}: netem cannot change from another law of jitter to uniform; "
                "use `--backend relay`"
            )
        apply_netem(self.inside, port, spec, verb)

    def _direction(self, source: str, target: str) -> DirectionCounters:
        ports = self.inside.counters()
        qdisc = root_netem(read_qdiscs(self.inside, target), f"{target} of link {self.name}")
        return DirectionCounters(
            received_packets=ports[source].rx_packets,
            received_bytes=ports[source].rx_bytes,
            forwarded_packets=ports[target].tx_packets,
            forwarded_bytes=ports[target].tx_bytes,
            dropped_packets=qdisc["drops"],
            queued_packets=qdisc["qlen"],
        )
