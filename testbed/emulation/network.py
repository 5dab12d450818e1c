"""A Mininet network whose links are wires, shaped or plain. Build it inside a sandbox."""

import itertools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from mininet.net import Mininet
from mininet.node import Node
from mininet.topo import Topo

from testbed import clock
from testbed.emulation.congestion_control import require_offered
from testbed.emulation.ethernet import read_offloads
from testbed.emulation.handovers import Handovers
from testbed.emulation.host_sysctls import host_sysctls, set_host_sysctls
from testbed.emulation.mininet_link import (
    PlainLink,
    WireLink,
    make_mininet_raise,
    namespace_of,
)
from testbed.emulation.namespace import InterfaceCounters, Namespace
from testbed.emulation.route_metrics import RouteMetrics
from testbed.emulation.wire import Wire
from testbed.errors import TestbedError
from testbed.host.realtime import awake
from testbed.links.handovers import Handover
from testbed.links.round_trip import longest_round_trip
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex
from testbed.topology.declarations import (
    check_names,
    longest_chain,
    plain_links,
    topology_hosts,
    topology_links,
    topology_paths,
)

_NOT_RUNNING = "the network is not running; start it first"


class Network:
    """The hosts of a topology, joined by wires; a context manager that starts and stops it.

    links: the impairments of each shaped link of the topology, by its name.
    backend: the emulator of the links, as returned by `choose_backend`.
    seed: the seed of the relay's random losses, delays and other impairments.
    schedules: the changes of a link after each restart, by its name; links not named here stay as
    they are.
    handovers: the changes of the device's path, for topologies with several paths.
    congestion_control: of every TCP connection between its hosts, by a name of Linux.

    Raises TestbedError if the names in `links` are not those of the topology's shaped links.
    """

    def __init__(
        self,
        topology: Topo,
        links: Mapping[str, Duplex],
        backend: str,
        seed: int,
        *,
        schedules: Mapping[str, Schedule] | None = None,
        handovers: Sequence[Handover] = (),
        congestion_control: str = "cubic",
    ) -> None:
        self._topology = topology
        self.declared = topology_links(topology)
        self._plain_declared = plain_links(topology)
        self._host_names = topology_hosts(topology)
        self._duplexes = dict(links)
        self._backend = backend
        self._seed = seed
        self._schedules = schedules or {}
        self._plan = handovers
        self._metrics = RouteMetrics(congestion_control)
        self._handovers: Handovers | None = None
        self._net: Mininet | None = None
        self._links: dict[str, WireLink] = {}
        self._plain: dict[str, PlainLink] = {}
        self._processes: list[subprocess.Popen[Any]] = []
        self._held = ExitStack()
        self._awake = False
        check_names(self.declared, links)

    def __enter__(self) -> "Network":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Build the network and verify its addresses; if that fails, take it down and raise."""
        make_mininet_raise()
        Mininet.inited = True  # skip Mininet's own set-up: it changes host-wide sysctls
        self._net = Mininet(controller=None, build=False)
        try:
            self._awake = self._held.enter_context(awake())
            self._build(self._net)
            self._verify_addresses()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill what `popen` started and take the network down. Stopping twice is allowed."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()
        if self._handovers is not None:
            self._handovers.stop()
            self._handovers = None
        net, self._net = self._net, None
        if net is not None:
            net.stop()
        self._links.clear()
        self._plain.clear()
        self._held.close()

    @property
    def wires(self) -> dict[str, Wire]:
        """The wires of the shaped links, by the links' names, in the topology's order."""
        return {name: link.wire for name, link in self._links.items()}

    def inside(self, host: str) -> Namespace:
        """Return the namespaces of a host."""
        return namespace_of(self._host(host))

    def schedule(self, link: str) -> Schedule:
        """Return the changes of a link after each restart; an empty schedule if it has none."""
        return self._schedules.get(link, Schedule())

    @property
    def handovers(self) -> Handovers:
        """The device's path and its planned handovers; TestbedError while the network is down."""
        if self._handovers is None:
            raise TestbedError(_NOT_RUNNING)
        return self._handovers

    def popen(self, host: str, argv: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        """Start a command in a host, in a session of its own; the working directory is kept."""
        process = self.inside(host).popen(argv, **kwargs)
        self._processes.append(process)
        return process

    def address(self, host: str, peer: str | None = None) -> str:
        """Return the IPv4 address of a host: on its link to `peer`, or else on its first link."""
        node = self._host(host)
        if peer is not None:
            for interface, _ in node.connectionsTo(self._host(peer)):
                return str(interface.IP())
        return str(node.IP())

    def ends(self, link: str) -> tuple[tuple[Namespace, str], tuple[Namespace, str]]:
        """Return the namespaces of a link's first and second host, with their interface's name."""
        built = self._links[link] if link in self._links else self._plain[link]
        first, second = (
            (namespace_of(end.node), str(end.name)) for end in (built.intf1, built.intf2)
        )
        return first, second

    def end_counters(self, link: str) -> tuple[InterfaceCounters, InterfaceCounters]:
        """Return the interface counters of a link's first and second host."""
        first, second = (inside.counters()[name] for inside, name in self.ends(link))
        return first, second

    def longest_round_trip(self) -> float:
        """Return the longest round trip of a packet over any chain of links, in seconds."""
        seconds = {
            name: longest_round_trip(duplex, self.schedule(name))
            for name, duplex in self._duplexes.items()
        }
        return longest_chain((*self.declared, *self._plain_declared), seconds)

    def state(self) -> dict[str, Any]:
        """Return the state of hosts and links, read from the kernel and the wires, for JSON."""
        return {
            "backend": self._backend,
            "seed": self._seed,
            "time_dilation": clock.dilation(),
            "processors_kept_awake": self._awake,
            "congestion_control": self._metrics.congestion_control,
            "hosts": {name: self._host_state(name) for name in self._host_names},
            "links": {name: _link_state(link) for name, link in self._links.items()},
        }

    def _build(self, net: Mininet) -> None:
        for name in self._host_names:
            require_offered(self._metrics.congestion_control, f"host {name}")
            node = net.addHost(name, **self._topology.nodeInfo(name))
            set_host_sysctls(namespace_of(node))
        for declared in self.declared:
            info = self._topology.linkInfo(declared.node1, declared.node2, declared.name)
            self._links[declared.name] = net.addLink(
                **info,
                cls=WireLink,
                name=declared.name,
                duplex=self._duplexes[declared.name],
                backend=self._backend,
                seed=self._seed,
            )
        # No host may send a packet that a shaped link further on would refuse.
        mtu = min(duplex.up.mtu for duplex in self._duplexes.values())
        for declared in self._plain_declared:
            info = self._topology.linkInfo(declared.node1, declared.node2, declared.name)
            self._plain[declared.name] = net.addLink(**info, cls=PlainLink, mtu=mtu)
        net.build()
        for name, schedule in self._schedules.items():
            self._links[name].wire.follow(schedule)
        cores = sorted(os.sched_getaffinity(0), reverse=True)
        for link, core in zip(self._links.values(), itertools.cycle(cores)):
            link.wire.pin(core)
        for link in net.links:
            _introduce(link.intf1, link.intf2)
            _introduce(link.intf2, link.intf1)
        inside = {name: namespace_of(net[name]) for name in self._host_names}
        for host in inside.values():
            self._metrics.set_everywhere(host)
        paths = topology_paths(self._topology)
        self._handovers = Handovers(paths, inside, self._plan, self._metrics)

    def _verify_addresses(self) -> None:
        """Compare the addresses that `ip` shows with Mininet's, which ignores some failures."""
        for name in self._host_names:
            for interface in self._host(name).intfList():
                shown = namespace_of(self._host(name)).json(
                    ["ip", "-j", "addr", "show", "dev", interface.name]
                )
                got = [f"{a['local']}/{a['prefixlen']}" for a in shown[0]["addr_info"]]
                wanted = [f"{interface.IP()}/{interface.prefixLen}"]
                if got != wanted or "UP" not in shown[0]["flags"]:
                    raise TestbedError(f"{interface.name} of {name} has {got}, not {wanted}")

    def _host_state(self, name: str) -> dict[str, Any]:
        inside = namespace_of(self._host(name))
        return {
            "addresses": inside.json(["ip", "-j", "addr"]),
            "routes": inside.json(["ip", "-j", "route"]),
            "neighbours": inside.json(["ip", "-j", "neigh"]),
            "offloads": {each: read_offloads(inside, each) for each in inside.counters()},
            "sysctls": host_sysctls(inside),
        }

    def _host(self, name: str) -> Node:
        if self._net is None:
            raise TestbedError(_NOT_RUNNING)
        if name not in self._host_names:
            raise TestbedError(
                f"the topology has no host {name!r}; it has {', '.join(self._host_names)}"
            )
        return self._net[name]


def _introduce(interface: Any, peer: Any) -> None:
    """Give a host a permanent neighbour entry for the link's other end, so that it needs no ARP."""
    shown = namespace_of(peer.node).json(["ip", "-j", "link", "show", "dev", peer.name])
    namespace_of(interface.node).run(
        ["ip", "neigh", "replace", peer.IP(), "lladdr", shown[0]["address"],
         "dev", interface.name, "nud", "permanent"]
    )  # fmt: skip


def _link_state(link: WireLink) -> dict[str, Any]:
    duplex = link.wire.duplex
    return {
        "nodes": [link.intf1.node.name, link.intf2.node.name],
        "backend": link.wire.backend,
        "up": duplex.up.to_mapping(),
        "down": duplex.down.to_mapping(),
        "wire": dict(link.wire.state()),
        "offloads": {port: read_offloads(link.wire.inside, port) for port in link.wire.ports},
    }
