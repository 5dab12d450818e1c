"""A wire shaped by kernel netem: a bridge between the ports, netem at the egress of both."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import apply_netem, read_qdiscs, root_netem, verify_netem
from testbed.emulation.netem_support import differences, require_support
from testbed.emulation.tc import COMMAND, Tc
from testbed.emulation.wire import PORT_A, PORT_B, Wire
from testbed.errors import TestbedError
from testbed.host.machine_errors import sentence
from testbed.host.process_endings import how_ended
from testbed.links.dilation import slowed
from testbed.links.jitter import UNIFORM, as_jitter
from testbed.links.schedule import Schedule
from testbed.links.schedule_cursor import Applied, ScheduleCursor
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.wire_counters import DirectionCounters, WireCounters

BRIDGE = "bridge"
PLAIN_BRIDGE = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
_SLICE = 0.5e-3  # seconds between two checks for the first packet


class NetemWire(Wire):
    """A wire whose ports are bridged, with netem at the egress of each.

    netem runs in real time, so under time dilation it gets links that are slower by that factor.
    """

    backend = "netem"
    shaped = {"up": PORT_B, "down": PORT_A}  # noqa: RUF012  # where each direction leaves

    def __init__(self, name: str, inside: Namespace, duplex: Duplex) -> None:
        super().__init__(name, inside, duplex)
        require_support(name, duplex)
        self._with_table: set[str] = set()  # directions that were given a table of jitter
        self._in_force = duplex
        self._changing = threading.Lock()
        self._cursor = ScheduleCursor(Schedule())
        self._before = 0  # packets received before the schedule was restarted
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: TestbedError | None = None
        self._tc = self.start()
        self._process = self._tc.process
        try:
            self._shape({"up": duplex.up, "down": duplex.down}, "add")
            self.join()  # last: no packet crosses before both directions are shaped
        except BaseException:
            self.stop()
            raise

    def start(self) -> Tc:
        """Start a tc in the namespace of the shaped interfaces, once these exist."""
        return self.talk(COMMAND)

    def talk(self, command: Sequence[str]) -> Tc:
        """Start a process that is a tc, or that runs one once it has booted."""
        pipe = subprocess.PIPE
        process = self.inside.popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
        return Tc(process, f"link {self.name}")

    def join(self) -> None:
        """Connect the ports, so that packets cross."""
        bridge(self.inside, BRIDGE, (PORT_A, PORT_B))

    @override
    def counters(self) -> WireCounters:
        return WireCounters(
            up=self._direction(PORT_A, PORT_B, "up"), down=self._direction(PORT_B, PORT_A, "down")
        )

    @override
    def restart(self, repetition: int, logs: Path | None) -> None:
        # The kernel has no seed for its losses, and logs no packets.
        self.begin(clock.now())

    @override
    def end_logs(self) -> None:
        pass  # netem keeps no logs

    @override
    def begin(self, at: float) -> None:
        self._stop_thread()
        self._before = self._received()
        self._apply(self.duplex)
        self._cursor.restart(at)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow_schedule, daemon=True)
        self._thread.start()

    @override
    def begin_traces(self, at: float) -> None:
        pass  # netem plays no traces

    @override
    def follow(self, schedule: Schedule) -> None:
        self._stop_thread()
        self._cursor = ScheduleCursor(schedule)

    @override
    def began(self) -> float | None:
        return self._cursor.began

    @override
    def applied(self) -> list[Applied]:
        return list(self._cursor.applied)

    @override
    def pin(self, core: int) -> None:
        pass  # the kernel itself carries the packets, not a process

    @override
    def forget_lateness(self) -> None:
        pass  # the kernel does not measure lateness

    @override
    def check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if (code := self._process.poll()) is not None:
            raise TestbedError(f"the netem of link {self.name} has ended ({how_ended(code)})")
        with self._changing:
            for direction, interface in self.shaped.items():
                self._verify(direction, interface)

    @override
    def state(self) -> Mapping[str, Any]:
        return {
            **{interface: read_qdiscs(self._tc, interface) for interface in self.shaped.values()},
            "differences": {
                "up": differences(self.duplex.up),
                "down": differences(self.duplex.down),
            },
        }

    @override
    def stop(self) -> None:
        self._stop_thread()
        self._tc.kill()
        if BRIDGE in self.inside.counters():
            self.inside.run(["ip", "link", "del", "dev", BRIDGE])

    @override
    def _apply(self, wanted: Duplex) -> None:
        require_support(self.name, wanted)
        with self._changing:
            changed = {
                direction: getattr(wanted, direction)
                for direction in ("up", "down")
                if getattr(wanted, direction) != getattr(self._in_force, direction)
            }
            if changed:
                self._shape(changed, "change")
            self._in_force = wanted

    def _shape(self, specs: Mapping[str, LinkSpec], verb: str) -> None:
        for direction, spec in specs.items():
            jitter = as_jitter(spec.jitter)
            if jitter.law == UNIFORM and jitter.spread > 0 and direction in self._with_table:
                raise TestbedError(
                    f"link {self.name}: netem cannot change to uniform jitter from another "
                    "distribution; use `--backend relay`"
                )
        self._with_table |= {
            w for w, spec in specs.items() if as_jitter(spec.jitter).law != UNIFORM
        }
        asked = {
            self.shaped[direction]: slowed(spec, clock.dilation())
            for direction, spec in specs.items()
        }
        apply_netem(self._tc, asked, verb)

    def _verify(self, direction: str, interface: str) -> None:
        spec = slowed(getattr(self._in_force, direction), clock.dilation())
        verify_netem(spec, read_qdiscs(self._tc, interface), f"{interface} of link {self.name}")

    def _follow_schedule(self) -> None:
        """Apply the schedule until it ends or `_stopping` is set."""
        try:
            while self._cursor.began is None and not self._stopping.wait(_SLICE):
                if self._received() != self._before:
                    self._cursor.packet(clock.now())
            while (due := self._cursor.next_due()) is not None:
                if self._stopping.wait(clock.real(max(0.0, due - clock.now()))):
                    return
                moment = self._cursor.take(clock.now())
                if moment is not None:
                    self._apply(Duplex(moment.up, moment.down))
        except TestbedError as error:
            self._failure = error
        except Exception as error:  # an error in a thread must not get lost
            self._failure = TestbedError(
                f"the changes of link {self.name} failed: {sentence(error)}"
            )

    def _received(self) -> int:
        """Return the number of packets that both ports have received since the wire was built."""
        counters = self.inside.counters()
        return sum(counters[port].rx_packets for port in self.ports)

    def _stop_thread(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _direction(self, source: str, target: str, direction: str) -> DirectionCounters:
        ports = self.inside.counters()
        shaped = self.shaped[direction]
        qdisc = root_netem(read_qdiscs(self._tc, shaped), f"{shaped} of link {self.name}")
        return DirectionCounters(
            received_packets=ports[source].rx_packets,
            received_bytes=ports[source].rx_bytes,
            forwarded_packets=ports[target].tx_packets,
            forwarded_bytes=ports[target].tx_bytes,
            dropped_packets=qdisc["drops"],
            queued_packets=qdisc["qlen"],
        )


def bridge(inside: Namespace, name: str, interfaces: tuple[str, ...]) -> None:
    """Join interfaces by a bridge without spanning tree and multicast: it sends nothing itself."""
    inside.run(["ip", "link", "add", "name", name, *PLAIN_BRIDGE])
    for interface in interfaces:
        inside.run(["ip", "link", "set", "dev", interface, "up", "master", name])
    inside.run(["ip", "link", "set", "dev", name, "up"])
