"""All that a declaration says, as JSON-able values."""

from __future__ import annotations

from typing import Any


def describe(topology: Any) -> dict[str, Any]:
    """Return what readers of a declaration may ask; without the kinds of hosts, Mininet's own."""
    links = topology.links(withKeys=True, withInfo=True)
    names = [*topology.hosts(), *topology.switches()]
    infos = [topology.nodeInfo(name) for name in names]
    return {
        "nodes": names,
        "links": [list(link) for link in links],
        "without_info": [list(link) for link in topology.links(withKeys=True)],
        "link_infos": [topology.linkInfo(*link[:3]) for link in links],
        "node_infos": [{key: info[key] for key in info if key != "cls"} for info in infos],
        "paths": getattr(topology, "paths", {}),
    }
