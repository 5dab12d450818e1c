"""A stand-in for what a declaration needs of Mininet, on machines that cannot import Mininet.

Mininet needs Linux, and a simulated run does not. A declaration stays a file for `mn --custom`.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Node:
    """The base of a declaration's kinds of hosts, of which only Mininet makes any."""


class Topo:
    """Hosts and links as declared, in the order in which Mininet's Topo returns them."""

    def __init__(self, **parameters: Any) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}
        self._links: dict[str, dict[str, dict[Any, dict[str, Any]]]] = {}
        self._ports: Counter[str] = Counter()
        self.build(**parameters)

    def build(self, **parameters: Any) -> None:
        """Declare hosts and links; a declaration overrides it."""

    def addHost(self, name: str, **options: Any) -> str:  # noqa: N802  # Mininet's names
        """Declare a host; return its name."""
        self._nodes[name] = options
        return name

    def addSwitch(self, name: str, **options: Any) -> str:  # noqa: N802
        """Declare a switch; return its name."""
        return self.addHost(name, isSwitch=True, **options)

    def addLink(  # noqa: N802
        self,
        node1: str,
        node2: str,
        port1: int | None = None,
        port2: int | None = None,
        key: Any = None,
        **options: Any,
    ) -> Any:
        """Declare a link; return its key, by default the next number between its two nodes."""
        for node in (node1, node2):
            self._links.setdefault(node, {})
        between = self._links[node1].setdefault(node2, {})
        self._links[node2][node1] = between
        if key is None:
            key = 1 + max((each for each in between if isinstance(each, int)), default=0)
        between[key] = {
            **options,
            "node1": node1,
            "node2": node2,
            "port1": self._next_port(node1) if port1 is None else port1,
            "port2": self._next_port(node2) if port2 is None else port2,
        }
        self._ports.update((node1, node2))
        return key

    def hosts(self) -> list[str]:
        """Return the names of the hosts, in natural order."""
        return [name for name in self._sorted() if not self._is_switch(name)]

    def switches(self) -> list[str]:
        """Return the names of the switches, in natural order."""
        return [name for name in self._sorted() if self._is_switch(name)]

    def links(
        self,
        withKeys: bool = False,  # noqa: N803
        withInfo: bool = False,  # noqa: N803
    ) -> list[tuple[Any, ...]]:
        """Return node1 and node2 of each link, and its key and its options if asked for."""
        found = []
        for source, neighbours in self._links.items():
            for target, between in neighbours.items():
                if source > target:  # the same links as from the other side
                    continue
                for key, info in between.items():
                    more = (key,) * withKeys + (info,) * withInfo
                    found.append((info["node1"], info["node2"], *more))
        return found

    def linkInfo(self, node1: str, node2: str, key: Any) -> dict[str, Any]:  # noqa: N802
        """Return the options of a link."""
        return self._links[node1][node2][key]

    def nodeInfo(self, name: str) -> dict[str, Any]:  # noqa: N802
        """Return the options of a host."""
        return self._nodes[name]

    def _next_port(self, node: str) -> int:
        return self._ports[node] + self._is_switch(node)

    def _is_switch(self, name: str) -> bool:
        return bool(self._nodes[name].get("isSwitch", False))

    def _sorted(self) -> list[str]:
        return sorted(self._nodes, key=_natural)


def _natural(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@contextmanager
def declarable() -> Iterator[None]:
    """Let declarations import `mininet.topo` and `mininet.node`, if need be from here."""
    try:
        importlib.import_module("mininet.topo")
        importlib.import_module("mininet.node")
    except ImportError:
        stand_ins = {"mininet": ModuleType("mininet")}
        for name, kind in (("topo", Topo), ("node", Node)):
            module = stand_ins[f"mininet.{name}"] = ModuleType(f"mininet.{name}")
            setattr(module, kind.__name__, kind)
            setattr(stand_ins["mininet"], name, module)
        before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
        sys.modules.update(stand_ins)
        try:
            yield
        finally:
            for name in stand_ins:
                del sys.modules[name]
            sys.modules.update(before)
    else:
        yield
