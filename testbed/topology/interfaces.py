"""The interfaces that a topology declares, with their addresses, as Mininet gives them out."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.topology.declarations import interface_name, topology_hosts

if TYPE_CHECKING:
    from mininet.topo import Topo

_UNNUMBERED = "10.0.0.{}/8"
"""Mininet's address for the first interface of its n-th host that declares none."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An end of a link."""

    host: str
    link: str
    peer: str
    """The host at the other end."""
    name: str
    address: IPv4Interface


def topology_interfaces(topology: Topo) -> dict[str, list[Interface]]:
    """Return the interfaces of each host by their ports; the first has the host's own address.

    Raises TestbedError for an address that is missing or cannot be read.
    """
    found: dict[str, list[Interface]] = {}
    ends = _ends(topology)
    for number, host in enumerate(topology_hosts(topology), start=1):
        own = topology.nodeInfo(host).get("ip") or _UNNUMBERED.format(number)
        found[host] = []
        for link, peer, name, declared in ends.get(host, ()):
            address = declared if found[host] else own
            found[host].append(Interface(host, link, peer, name, _read(address, host, name)))
    return found


def _ends(topology: Topo) -> dict[str, list[tuple[str, str, str, str | None]]]:
    """Return link, peer, name and declared address of each host's interfaces by their ports."""
    found: dict[str, dict[int, tuple[str, str, str, str | None]]] = {}
    for node1, node2, link, info in topology.links(withKeys=True, withInfo=True):
        for end, host, peer in ((1, node1, node2), (2, node2, node1)):
            address = (info.get(f"params{end}") or {}).get("ip")
            name = interface_name(info, end)
            found.setdefault(host, {})[info[f"port{end}"]] = (link, peer, name, address)
    return {host: [ports[port] for port in sorted(ports)] for host, ports in found.items()}


def _read(address: str | None, host: str, name: str) -> IPv4Interface:
    try:
        return IPv4Interface(address or "")
    except ValueError:
        raise TestbedError(
            f"{name} of {host} has the address '{address or ''}', not one like 10.0.0.1/24; "
            "declare it with addLink(..., params1={'ip': '…'})"
        ) from None
