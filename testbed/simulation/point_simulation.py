"""The simulation of one point of a sweep: models loaded once, a network of its own for each run."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import simpy
from typing_extensions import override

from testbed import clock
from testbed.decoding.randomness import KeyedRandomness
from testbed.errors import TestbedError
from testbed.links.counts import PacketCounters
from testbed.links.handovers import Handover
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex
from testbed.links.wire_counters import DirectionCounters, WireCounters
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.models.spec import Role
from testbed.protocol.channel import LinkTimeout
from testbed.protocol.control import Result
from testbed.protocol.device_loop import Decoded
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.simulation.connection import Connection
from testbed.simulation.connection_end import Message
from testbed.simulation.contract import (
    DecodedPrompt,
    EndPackets,
    NetworkCounters,
    Progress,
    RunEnd,
    SimulatedRun,
    Simulation,
)
from testbed.simulation.costs import ChargedCosts, Costs
from testbed.simulation.inbox import Inbox
from testbed.simulation.link import PlainLink, ShapedLink
from testbed.simulation.network import VirtualNetwork
from testbed.simulation.overhead import HostOverhead
from testbed.simulation.own_work import OwnWork
from testbed.simulation.tcp.end import TcpEnd
from testbed.simulation.tcp.settings import TcpSettings
from testbed.simulation.virtual_clock import VirtualClock
from testbed.simulation.virtual_nodes import VirtualDevice, VirtualVerifier

if TYPE_CHECKING:
    from mininet.topo import Topo

Decode: TypeAlias = Generator[simpy.Event, Any, Decoded]
"""A process that decodes a prompt on a device."""


@dataclass(frozen=True, kw_only=True)
class PointSettings:
    """The network, nodes and models of one point; times in seconds."""

    topology: Topo
    links: Mapping[str, Duplex]
    schedules: Mapping[str, Schedule]
    handovers: Sequence[Handover]
    seed: int
    verifier: str
    """The host with the target model."""
    devices: Mapping[str, str]
    """Each device, and the name of its verifier in messages to the user."""
    draft: Model
    target: Model
    paces: Mapping[Role, Pace]
    congestion_control: str
    timeout: float
    overhead: HostOverhead


class PointSimulation(Simulation):
    """Runs at one point."""

    def __init__(
        self, settings: PointSettings, costs: Mapping[str, Mapping[str, Costs]], source: str
    ) -> None:
        """Begin without runs.

        `costs` has those of `device` and `verifier` by the methods' labels, `source` says whence.
        """
        self._settings = settings
        self._costs, self._source = costs, source
        self._unknown: set[str] = set()

    @override
    def begin(self, label: str, repetition: int, *, uses_verifier: bool) -> SimulatedRun:
        costs = ChargedCosts(self._costs[label], self._unknown)
        return VirtualRun(self._settings, repetition, costs, uses_verifier=uses_verifier)

    @override
    def state(self) -> dict[str, Any]:
        return {
            "congestion_control": self._settings.congestion_control,
            "links": {
                name: {"up": duplex.up.to_mapping(), "down": duplex.down.to_mapping()}
                for name, duplex in self._settings.links.items()
            },
            "host_overhead": self._settings.overhead._asdict(),
            "costs": {"source": self._source, "not_recorded": sorted(self._unknown)},
        }


class VirtualRun(SimulatedRun):
    """A run: connections open, links restart, prompts are decoded one after another."""

    def __init__(
        self,
        settings: PointSettings,
        repetition: int,
        costs: ChargedCosts,
        *,
        uses_verifier: bool,
    ) -> None:
        self._env = env = simpy.Environment()
        self._settings = settings
        self._clock = VirtualClock(env)
        self._network = VirtualNetwork(
            env,
            settings.topology,
            settings.links,
            settings.seed,
            schedules=settings.schedules,
            handovers=settings.handovers,
        )
        work = {
            name: OwnWork(name, costs.charge(role, self._clock.spend), _untimed)
            for name, role in (
                *((device, "device") for device in settings.devices),
                (settings.verifier, "verifier"),
            )
        }
        self._works = work
        self._network.reset()
        inboxes = {name: Inbox[Message](env) for name in settings.devices}
        connections: dict[str, Connection] = {}
        if uses_verifier:
            connections = self._connect(work[settings.verifier], inboxes)
            for name, connection in connections.items():
                self._until(connection.opened | env.timeout(settings.timeout))
                if not connection.opened.triggered:
                    raise LinkTimeout(
                        f"{name}: {settings.devices[name]} did not answer within "
                        f"{settings.timeout:g} s"
                    )
        self._connections = connections
        self._until(env.process(self._network.settle()))
        self._network.restart(repetition)
        self._began = self._ended = env.now
        self._devices = {
            name: VirtualDevice(
                self._clock,
                work[name],
                settings.draft,
                settings.paces.get("draft"),
                send=connections[name].send if connections else _refuse,
                inbox=inboxes[name],
                peer=peer,
                timeout=settings.timeout,
            )
            for name, peer in settings.devices.items()
        }

    @override
    def decode(
        self, requests: Mapping[str, DecodeRequest], prompt: Sequence[int], progress: Progress
    ) -> DecodedPrompt:
        env, began = self._env, self._env.now
        committed = 0

        def more(tokens: list[int]) -> None:
            nonlocal committed
            committed += len(tokens)
            progress(committed, self._clock.now() - began)

        before = self._counters()
        processes = {
            name: env.process(_named(name, self._devices[name].decode(request, prompt, more)))
            for name, request in requests.items()
        }
        self._until(env.all_of(list(processes.values())))
        ended: dict[str, Any] = {name: process.value for name, process in processes.items()}
        self._ended = env.now
        self._until(env.process(self._network.settle()))
        return DecodedPrompt(
            results={
                name: _result(decoded, self._settings.draft) for name, decoded in ended.items()
            },
            events={name: work.take() for name, work in self._works.items()},
            before=before,
            after=self._counters(),
        )

    @override
    def end(self) -> RunEnd:
        links = self._network.links
        now = self._ended
        begun = {name: link.began for name, link in links.items()}
        return RunEnd(
            seconds=now - self._began,
            begun={name: None if time is None else now - time for name, time in begun.items()},
            changes={name: link.applied for name, link in links.items()},
            handovers=self._network.handovers.applied,
            recoveries={name: each.recoveries for name, each in self._connections.items()},
        )

    def _connect(
        self, work: OwnWork, inboxes: Mapping[str, Inbox[Message]]
    ) -> dict[str, Connection]:
        """Start the verifier, and connect the devices to it."""
        settings, env = self._settings, self._env
        server = VerifierServer(
            settings.target, KeyedRandomness, settings.paces.get("target"), work.around
        )
        server.trace = work
        arrived = Inbox[tuple[bytes, Message]](env)

        def arrive(device: bytes, message: Message) -> None:
            arrived.put((device, message))

        tcp = TcpSettings(congestion_control=settings.congestion_control, mtu=self._network.mtu)
        connections: dict[str, Connection] = {}
        for name, inbox in inboxes.items():
            connections[name] = Connection(
                env,
                self._network,
                name,
                settings.verifier,
                identity=f"{name}-00000000".encode(),  # as long as those of nodes
                tcp=partial(TcpEnd, tcp),
                at_device=inbox.put,
                at_verifier=partial(arrive, name.encode()),
                overhead=settings.overhead,
            )
        verifier = VirtualVerifier(
            self._clock,
            work,
            server,
            send=lambda device, message: connections[device.decode()].answer(message),
            inbox=arrived,
        )
        env.process(verifier.serve())
        return connections

    def _until(self, event: simpy.Event) -> None:
        """Let time go on until an event; errors of nodes are raised here."""
        with clock.virtual(self._clock.now):
            self._env.run(until=event)

    def _ends(self, link: str) -> EndPackets:
        first, second = self._network.ends(link)
        return EndPackets(
            (first.sent[link], second.sent[link]), (second.arrived[link], first.arrived[link])
        )

    def _counters(self) -> NetworkCounters:
        links: dict[str, ShapedLink | PlainLink] = {**self._network.links, **self._network.plain}
        wires = {
            name: WireCounters(
                _counters(link.up.counts, link.up.in_flight),
                _counters(link.down.counts, link.down.in_flight),
            )
            for name, link in links.items()
        }
        return NetworkCounters(
            wires=wires,
            ends={name: self._ends(name) for name in links},
        )


def _named(device: str, decode: Decode) -> Decode:
    """Do as `decode` does; errors that a device's node would report have its name.

    A ValueError is among them: a damaged answer, or a distribution that is none.
    """
    try:
        return (yield from decode)
    except (TestbedError, ValueError) as error:
        raise TestbedError(f"{device}: {error}") from error


def _counters(counts: PacketCounters, in_flight: int) -> DirectionCounters:
    return DirectionCounters(
        received_packets=counts.received_packets,
        received_bytes=counts.received_bytes,
        forwarded_packets=counts.forwarded_packets,
        forwarded_bytes=counts.forwarded_bytes,
        dropped_packets=sum(counts.dropped.values()),
        queued_packets=in_flight,
        duplicated_packets=counts.duplicated,
        dropped_by=counts.dropped,
    )


def _result(decoded: Decoded, draft: Model) -> Result:
    return Result(
        tokens=decoded.tokens,
        text=draft.decode(decoded.tokens),
        times=decoded.times,
        start=decoded.start,
        counts=decoded.counts,
        traffic=decoded.traffic,
    )


def _untimed() -> float:
    """Return no time: charged work is not timed."""
    return 0.0


def _refuse(message: Message) -> None:
    raise AssertionError("a method without a verifier has sent a message")
