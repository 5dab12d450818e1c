"""Topologies by name: their links, hosts, devices and paths, read from the declarations alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import topologies
from testbed.errors import TestbedError
from testbed.links.queue import Discipline
from testbed.topology.stand_in import declarable

if TYPE_CHECKING:
    from mininet.topo import Topo

_DEVICE = re.compile(r"device\d*")
_LONGEST_INTERFACE = 15
_NO_INTERFACE = re.compile(r"[/:\s]|^\.{0,2}$|^lo$")


@dataclass(frozen=True, slots=True)
class LinkDeclaration:
    """A named link of a topology; node1, declared first, is nearer the device.

    discipline: of the link's queues in scenarios that do not set one.
    """

    name: str
    node1: str
    node2: str
    discipline: Discipline = "drop_tail"


def known_topologies() -> dict[str, type[Topo]]:
    """Return the topology classes of the `topologies` package by name; docstrings describe them."""
    found: dict[str, type[Topo]] = {}
    with declarable():
        for module in pkgutil.iter_modules(topologies.__path__, "topologies."):
            found |= importlib.import_module(module.name).topos
    return found


def load_topology(name: str, devices: int = 1) -> Topo:
    """Create the topology called `name` with this number of devices.

    Raises TestbedError if the name is unknown, if the topology takes one device only, or if Linux
    does not allow the name of one of its interfaces.
    """
    known = known_topologies()
    if name not in known:
        raise TestbedError(f"topology {name!r} is unknown; there are {', '.join(sorted(known))}")
    if _takes_devices(known[name]):
        return _checked(known[name](devices=devices), name)
    if devices != 1:
        able = [each for each, kind in sorted(known.items()) if _takes_devices(kind)]
        raise TestbedError(f"topology {name} has one device, not {devices}; for more use {able[0]}")
    return _checked(known[name](), name)


def topology_links(topology: Topo) -> list[LinkDeclaration]:
    """Return the shaped links of a topology; raise TestbedError if a link has no unique name."""
    return _links(topology, shaped=True)


def plain_links(topology: Topo) -> list[LinkDeclaration]:
    """Return the links declared with `shaped=False`: plain Ethernet, without impairments."""
    return _links(topology, shaped=False)


def links_between(links: list[LinkDeclaration], start: str, end: str) -> list[str]:
    """Return the names of the links on a shortest path from one host to another, in path order.

    Of several shortest paths it is the first found. Raises TestbedError if no links join the hosts.
    """
    paths: list[tuple[str, list[str]]] = [(start, [])]
    seen = {start}
    for host, path in paths:  # breadth first: the list grows while it is walked
        if host == end:
            return path
        for link in links:
            for here, there in ((link.node1, link.node2), (link.node2, link.node1)):
                if here == host and there not in seen:
                    seen.add(there)
                    paths.append((there, [*path, link.name]))
    raise TestbedError(f"no link leads from {start} to {end}")


def topology_paths(topology: Topo) -> dict[str, dict[str, str]]:
    """Return, for each radio link that a device can use, the route of each host while it does.

    The device starts on the first one. Empty for a topology with a single path.
    """
    paths: dict[str, dict[str, str]] = getattr(topology, "paths", {})
    return paths


def topology_hosts(topology: Topo) -> list[str]:
    """Return the names of a topology's hosts; raise TestbedError if it has switches."""
    switches: list[str] = topology.switches()
    if switches:
        raise TestbedError(
            f"the topology has the switch {switches[0]}; only hosts joined by links are built"
        )
    hosts: list[str] = topology.hosts()
    return hosts


def topology_devices(topology: Topo) -> list[str]:
    """Return the names of its devices: `device`, or `device1`, `device2` and so on."""
    return [host for host in topology_hosts(topology) if _DEVICE.fullmatch(host)]


def interface_name(info: Mapping[str, Any], end: int) -> str:
    """Return the name of a link's interface at its first or second host, 1 or 2."""
    # Mininet's default name, where the declaration gives none.
    return str(info.get(f"intfName{end}") or f"{info[f'node{end}']}-eth{info[f'port{end}']}")


def check_names(declared: Sequence[LinkDeclaration], given: Iterable[str]) -> None:
    """Raise TestbedError unless the names given are exactly those of the declared links."""
    names = [link.name for link in declared]
    given = list(given)
    wrong = [f"{name!r} is not one" for name in given if name not in names]
    wrong += [f"{name!r} is missing" for name in names if name not in given]
    if wrong:
        raise TestbedError(f"links must be {', '.join(names)}: {', '.join(wrong)}")


def longest_chain(links: Iterable[LinkDeclaration], seconds: Mapping[str, float]) -> float:
    """Return the longest sum of seconds over any chain of links that leads away from devices.

    Links without an entry in `seconds` add nothing.
    """
    links = list(links)

    def longest(host: str, passed: frozenset[str]) -> float:
        passed |= {host}
        return max(
            (
                seconds.get(link.name, 0.0) + longest(link.node2, passed)
                for link in links
                if link.node1 == host and link.node2 not in passed
            ),
            default=0.0,
        )

    return max((longest(link.node1, frozenset()) for link in links), default=0.0)


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
    """Return the topology; raise TestbedError if Linux does not allow an interface's name."""
    taken: set[tuple[str, str]] = set()
    for _, _, _, info in topology.links(withKeys=True, withInfo=True):
        for end in (1, 2):
            host, key = info[f"node{end}"], f"intfName{end}"
            interface = interface_name(info, end)
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
