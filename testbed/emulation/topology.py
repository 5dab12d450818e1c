"""Topologies by name, and what they declare; needs no root and builds nothing."""

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass

from mininet.topo import Topo

import topologies
from testbed.errors import TestbedError
from testbed.links.queue import Discipline

_DEVICE = re.compile(r"device\d*")
_LONGEST_INTERFACE = 15
_NO_INTERFACE = re.compile(r"[/:\s]|^\.{0,2}$|^lo$")


@dataclass(frozen=True, slots=True)
class LinkDeclaration:
    """A named link of a topology, from its first-declared node (nearer the device) on.

    discipline: that of its queues where a scenario gives them none.
    """

    name: str
    node1: str
    node2: str
    discipline: Discipline = "drop_tail"


def known_topologies() -> dict[str, type[Topo]]:
    """Every topology of the `topologies` package, by name; its docstring describes it."""
    found: dict[str, type[Topo]] = {}
    for module in pkgutil.iter_modules(topologies.__path__, "topologies."):
        found |= importlib.import_module(module.name).topos
    return found


def load_topology(name: str, devices: int = 1) -> Topo:
    """Declare the topology called `name` with so many devices.

    Raises TestbedError listing the known names if there is none, or those that take more devices
    if it does not.
    """
    known = known_topologies()
    if name not in known:
        raise TestbedError(f"topology {name!r} is unknown; there are {', '.join(sorted(known))}")
    if _takes_devices(known[name]):
        return _checked(known[name](devices=devices), name)
    if devices != 1:
        able = [each for each, kind in sorted(known.items()) if _takes_devices(kind)]
        raise TestbedError(f"topology {name} has one, not {devices}; for more take {able[0]}")
    return _checked(known[name](), name)


def topology_links(topology: Topo) -> list[LinkDeclaration]:
    """The shaped links of a topology; TestbedError if a link has no name of its own."""
    return _links(topology, shaped=True)


def plain_links(topology: Topo) -> list[LinkDeclaration]:
    """The links declared with `shaped=False`, which carry everything at once, as topology_links."""
    return _links(topology, shaped=False)


def links_between(links: list[LinkDeclaration], start: str, end: str) -> list[str]:
    """The names of the links on the first shortest way from one host to another, in their order."""
    directions: list[tuple[str, list[str]]] = [(start, [])]
    seen = {start}
    for host, direction in directions:  # grows while it is walked
        if host == end:
            return direction
        for link in links:
            for here, there in ((link.node1, link.node2), (link.node2, link.node1)):
                if here == host and there not in seen:
                    seen.add(there)
                    directions.append((there, [*direction, link.name]))
    raise TestbedError(f"no link leads from {start} to {end}")


def topology_paths(topology: Topo) -> dict[str, dict[str, str]]:
    """By each radio link that the device can be on, the route that each host needs then.

    It is on the first one at first. Empty where there is one path only.
    """
    paths: dict[str, dict[str, str]] = getattr(topology, "paths", {})
    return paths


def topology_hosts(topology: Topo) -> list[str]:
    """The names of a topology's hosts; TestbedError if it has switches, which are not built."""
    switches: list[str] = topology.switches()
    if switches:
        raise TestbedError(
            f"the topology has the switch {switches[0]}; only hosts joined by links are built"
        )
    hosts: list[str] = topology.hosts()
    return hosts


def topology_devices(topology: Topo) -> list[str]:
    """Its devices: the one host `device`, or `device1`, `device2` and so on."""
    return [host for host in topology_hosts(topology) if _DEVICE.fullmatch(host)]


def _links(topology: Topo, *, shaped: bool) -> list[LinkDeclaration]:
    found = topology.links(withKeys=True, withInfo=True)
    names = [name for _, _, name, _ in found]
    for node1, node2, name, _ in found:
        if not isinstance(name, str) or names.count(name) > 1:
            raise TestbedError(
                f"the link from {node1} to {node2} has no name of its own; "
                "declare it with addLink(..., key='name')"
            )
    return [
        LinkDeclaration(name, node1, node2, info.get("discipline", "drop_tail"))
        for node1, node2, name, info in found
        if info.get("shaped", True) == shaped
    ]


def _checked(topology: Topo, name: str) -> Topo:
    """The topology; TestbedError if Linux does not take the name of one of its interfaces."""
    taken: set[tuple[str, str]] = set()
    for _, _, _, info in topology.links(withKeys=True, withInfo=True):
        for end in "12":
            host, key = info[f"node{end}"], f"intfName{end}"
            # Mininet's own name, where the declaration has none.
            interface = str(info.get(key) or f"{host}-eth{info[f'port{end}']}")
            why = ""
            if len(interface.encode()) > _LONGEST_INTERFACE:
                why = f"is longer than the {_LONGEST_INTERFACE} bytes that Linux allows"
            elif _NO_INTERFACE.search(interface):
                why = "is none that Linux allows"
            elif (host, interface) in taken:
                why = "is taken by another of its interfaces"
            if why:
                raise TestbedError(
                    f"topology {name}: {host} has an interface whose name '{interface}' {why}; "
                    f"name it in its addLink(..., {key}='…')"
                )
            taken.add((host, interface))
    return topology


def _takes_devices(kind: type[Topo]) -> bool:
    return "devices" in inspect.signature(kind.build).parameters
