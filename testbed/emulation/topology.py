"""Topologies by name, and what they declare; needs no root and builds nothing."""

import importlib
import pkgutil
from dataclasses import dataclass

from mininet.topo import Topo

import topologies
from testbed.errors import TestbedError


@dataclass(frozen=True, slots=True)
class LinkDeclaration:
    """A named link of a topology, from its first-declared node (nearer the device) on."""

    name: str
    node1: str
    node2: str


def known_topologies() -> dict[str, type[Topo]]:
    """Every topology of the `topologies` package, by name; its docstring describes it."""
    found: dict[str, type[Topo]] = {}
    for module in pkgutil.iter_modules(topologies.__path__, "topologies."):
        found |= importlib.import_module(module.name).topos
    return found


def load_topology(name: str) -> Topo:
    """Declare the topology called `name`; TestbedError listing the known names if there is none."""
    known = known_topologies()
    if name not in known:
        raise TestbedError(f"topology {name!r} is unknown; there are {', '.join(sorted(known))}")
    return known[name]()


def topology_links(topology: Topo) -> list[LinkDeclaration]:
    """The links of a topology; TestbedError if one has no name of its own."""
    links = [
        LinkDeclaration(key, node1, node2) for node1, node2, key in topology.links(withKeys=True)
    ]
    names = [link.name for link in links]
    for link in links:
        if not isinstance(link.name, str) or names.count(link.name) > 1:
            raise TestbedError(
                f"the link from {link.node1} to {link.node2} has no name of its own; "
                "declare it with addLink(..., key='name')"
            )
    return links


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
