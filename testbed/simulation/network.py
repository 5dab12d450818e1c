"""A network in virtual time: the hosts of a topology, and the links between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import simpy

from testbed.errors import TestbedError
from testbed.links.handovers import Handover
from testbed.links.round_trip import longest_round_trip
from testbed.links.schedule import Schedule
from testbed.links.spec import ETHERNET_HEADER, Duplex
from testbed.simulation.frame import Frame, destination, header_intact
from testbed.simulation.handovers import VirtualHandovers
from testbed.simulation.host import Carry, Host
from testbed.simulation.link import PlainLink, ShapedLink
from testbed.simulation.routes import Routes
from testbed.topology.declarations import (
    LinkDeclaration,
    check_names,
    longest_chain,
    plain_links,
    topology_links,
    topology_paths,
)
from testbed.topology.interfaces import topology_interfaces

if TYPE_CHECKING:
    from mininet.topo import Topo

_STILL = 0.1  # seconds without a packet
_PATIENCE = 5.0  # seconds to wait for that, beside the longest round trip of the links


class VirtualNetwork:
    """The hosts of a topology, joined by links on the clock of a SimPy environment.

    links: the impairments of each shaped link of the topology, by its name.
    seed: the seed of all random losses, delays and other impairments.
    schedules: the changes of a link after each beginning, by its name; links not named here stay as
    they are.
    handovers: the changes of the device's path, for topologies with several paths.

    Hosts forward packets, as the routers of a topology do. Times are in seconds of the environment.

    Raises TestbedError if the names in `links` are not those of the topology's shaped links, and
    for addresses and routes that no host could have.
    """

    def __init__(
        self,
        env: simpy.Environment,
        topology: Topo,
        links: Mapping[str, Duplex],
        seed: int,
        *,
        schedules: Mapping[str, Schedule] | None = None,
        handovers: Sequence[Handover] = (),
    ) -> None:
        self._env = env
        schedules = schedules or {}
        declared, plain = topology_links(topology), plain_links(topology)
        check_names(declared, links)
        self._hosts = {
            name: Host(name, each, Routes(each, topology.nodeInfo(name).get("defaultRoute")))
            for name, each in topology_interfaces(topology).items()
        }
        self.links = {
            link.name: ShapedLink(
                env,
                link.name,
                links[link.name],
                self._deliveries(link),
                seed=seed,
                schedule=schedules.get(link.name, Schedule()),
            )
            for link in declared
        }
        """The shaped links by name, in the topology's order."""
        self.plain = {link.name: PlainLink(*self._deliveries(link)) for link in plain}
        """The links that are not shaped, by name."""
        self._ends = {link.name: (link.node1, link.node2) for link in (*declared, *plain)}
        self._carries: dict[tuple[str, str], Carry] = {}
        for link in declared:
            shaped = self.links[link.name]
            self._join(link, shaped.carry_up, shaped.carry_down)
        for link in plain:
            self._join(link, self.plain[link.name].up.carry, self.plain[link.name].down.carry)
        self.mtu = min(min(each.up.mtu, each.down.mtu) for each in links.values())
        """The largest IP packet, in bytes, that a host may send."""
        self.longest_round_trip = longest_chain(
            (*declared, *plain),
            {
                name: longest_round_trip(duplex, schedules.get(name, Schedule()))
                for name, duplex in links.items()
            },
        )
        """The longest round trip of a packet over any chain of links, in seconds."""
        self._sending = False
        self._connections = 0
        self.handovers = VirtualHandovers(
            env, topology_paths(topology), handovers, self._replace_route
        )

    def address(self, host: str, peer: str | None = None) -> IPv4Address:
        """Return the address of a host: on its link to `peer`, or else on its first link."""
        interfaces = self._host(host).interfaces
        beside = [each for each in interfaces if each.peer == peer]
        return (beside or interfaces)[0].address.ip

    def source(self, host: str, address: IPv4Address) -> IPv4Address:
        """Return the address that packets of a host to another address come from."""
        route = self._host(host).routes.find(address)
        if route is None:
            raise TestbedError(f"{host} has no route to {address}")
        return route.source

    def open(self) -> int:
        """Return the number of a new connection."""
        self._connections += 1
        return self._connections

    def receive(self, host: str, connection: int, receive: Callable[[Any], None] | None) -> None:
        """Call `receive` with the segment of each intact frame of a connection at a host.

        It is never called while a `send` is under way. With None such frames are dropped, as they
        are by default.
        """
        receivers = self._host(host).receivers
        receivers.pop(connection, None)
        if receive is not None:
            receivers[connection] = receive

    def send(self, host: str, frame: Frame) -> None:
        """Send a frame from a host to its destination.

        Raises TestbedError for a packet above the mtu, and for an address without a route.
        """
        if len(frame) - ETHERNET_HEADER > self.mtu:
            raise TestbedError(
                f"{host} sends an IP packet of {len(frame) - ETHERNET_HEADER} bytes; the smallest "
                f"mtu of the links is {self.mtu}"
            )
        self._sending = True
        try:
            self._pass_on(self._hosts[host], frame, destination(frame))
        finally:
            self._sending = False

    def reset(self) -> None:
        """Return to the first path, and begin the schedules and traces of all links.

        Nodes then connect over links as they are at first, as in emulation.
        """
        self.handovers.reset()
        for link in self.links.values():
            link.begin()

    def restart(self, repetition: int) -> None:
        """Begin a run now: packet numbers, randomness, schedules, traces and handovers.

        repetition: keys the randomness, with the seed.

        Raises TestbedError while packets wait to be sent.
        """
        for link in self.links.values():
            link.restart(repetition)
        self.handovers.begin()

    def settle(self) -> Generator[simpy.Event, Any, None]:
        """Wait until no packet has moved for a while, a few seconds at most; a SimPy process."""
        deadline = self._env.now + _PATIENCE + self.longest_round_trip
        before = self._taken_in()
        while self._env.now < deadline:
            yield self._env.timeout(_STILL)
            after = self._taken_in()
            if before == after and not self.in_flight:
                return
            before = after

    def ends(self, link: str) -> tuple[Host, Host]:
        """Return the hosts of a link, the first one first."""
        first, second = self._ends[link]
        return self._hosts[first], self._hosts[second]

    @property
    def in_flight(self) -> int:
        """The number of packets under way."""
        return sum(link.up.in_flight + link.down.in_flight for link in self.links.values())

    @property
    def refused(self) -> dict[str, int]:
        """Frames that each host dropped because a checksum was wrong."""
        return {name: host.refused for name, host in self._hosts.items()}

    def _taken_in(self) -> list[int]:
        return [
            direction.counts.received_packets
            for link in self.links.values()
            for direction in (link.up, link.down)
        ]

    def _deliveries(self, link: LinkDeclaration) -> tuple[Carry, Carry]:
        """Return what takes in frames at the far end of a link: up, down."""
        first, second = self._hosts[link.node1], self._hosts[link.node2]
        return (
            partial(self._take_in, second, link.name),
            partial(self._take_in, first, link.name),
        )

    def _join(self, link: LinkDeclaration, up: Carry, down: Carry) -> None:
        """Let both hosts of a link send through it; they count what they send."""
        for name, carry in ((link.node1, up), (link.node2, down)):
            self._carries[name, link.name] = partial(
                _send, self._hosts[name].sent, link.name, carry
            )

    def _take_in(self, host: Host, link: str, frame: bytes) -> None:
        """Hand a frame that a host has received to its receiver, or pass it on."""
        host.arrived[link] += 1
        if not isinstance(frame, Frame) and not header_intact(frame):
            host.refused += 1
        elif (target := destination(frame)) not in host.addresses:
            self._pass_on(host, frame, target)
        elif not isinstance(frame, Frame):
            host.refused += 1  # TCP's checksum covers what IP's does not
        elif self._sending:  # over plain links alone
            self._env.timeout(0.0, frame).callbacks.append(
                lambda event: _receive(host, event.value)
            )
        else:
            _receive(host, frame)

    def _pass_on(self, host: Host, frame: bytes, target: bytes) -> None:
        carry = host.ways.get(target)
        if carry is None:
            carry = host.ways[target] = self._find_way(host, IPv4Address(target))
        carry(frame)

    def _find_way(self, host: Host, target: IPv4Address) -> Carry:
        """Return what takes frames of a host towards an address.

        Raises TestbedError unless the routes of all hosts lead there.
        """
        passed: list[Host] = []
        links: list[str] = []
        while target.packed not in host.addresses:
            if host in passed:
                raise TestbedError(
                    f"the routes to {target} lead round in a circle, by "
                    f"{', '.join(each.name for each in passed)}"
                )
            route = host.routes.find(target)
            if route is None:
                raise TestbedError(f"{host.name} has no route to {target}")
            passed.append(host)
            links.append(route.interface.link)
            host = self._hosts[route.interface.peer]
        if not passed:
            raise TestbedError(f"{host.name} sends to {target}, its own address")
        return self._carries[passed[0].name, links[0]]

    def _replace_route(self, name: str, route: str) -> None:
        self._hosts[name].routes.replace(route)
        for host in self._hosts.values():
            host.ways.clear()

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            raise TestbedError(
                f"the topology has no host {name!r}; it has {', '.join(self._hosts)}"
            )
        return self._hosts[name]


def _send(sent: Counter[str], link: str, carry: Carry, frame: bytes) -> None:
    sent[link] += 1
    carry(frame)


def _receive(host: Host, frame: Frame) -> None:
    receive = host.receivers.get(frame.connection)
    if receive is not None:
        receive(frame.segment)
