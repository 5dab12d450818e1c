"""Declarations read without Mininet say what they say with it."""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module

import pytest
from mininet.node import Node
from mininet.topo import Topo

from testbed.topology import stand_in
from testbed.topology.declarations import known_topologies, load_topology
from tests.support.blocked import run_blocked
from tests.topology.described import describe

SIZES = {"cell": 12}


def test_every_declaration_is_read_alike_without_mininet():
    found = run_blocked(
        f"""
        import json, sys
        from testbed.topology.declarations import known_topologies, load_topology
        from tests.topology.described import describe

        known = known_topologies()
        assert not [name for name in sys.modules if name.startswith("mininet")]
        topologies = {{name: load_topology(name, {SIZES}.get(name, 1)) for name in known}}
        print(json.dumps({{name: describe(each) for name, each in topologies.items()}}))
        """
    )
    topologies = {name: load_topology(name, SIZES.get(name, 1)) for name in known_topologies()}
    expected = {name: describe(each) for name, each in topologies.items()}
    assert json.loads(found) == json.loads(json.dumps(expected))
    assert {"cell", "edge", "handover", "three_tier"} <= set(expected)


def build(base):
    class Own(base):
        def build(self, devices=3):
            for name in ("h10", "h9", "a"):
                self.addHost(name, ip="10.0.0.1/24")
            self.addSwitch("s1")
            for name in ("h9", "h10"):
                self.addLink("s1", name, key=name, shaped=False)
            assert self.addLink("h9", "a") == self.addLink("a", "h9", port1=7) - 1
            self.addLink("a", "h10", key="up", port2=4)

    return Own(devices=2)


def test_ports_keys_and_orders_are_those_of_mininet():
    assert describe(build(stand_in.Topo)) == describe(build(Topo))


def test_mininet_itself_is_used_where_it_can_be():
    before = sys.modules["mininet.topo"]
    with stand_in.declarable():
        assert import_module("mininet.topo") is before
    for kind in known_topologies().values():
        assert issubclass(kind, Topo)


@pytest.mark.parametrize("name", ["Node", "Topo"])
def test_the_stand_ins_leave_nothing_behind(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "mininet.topo", None)  # as for a module that fails
    before = {key: value for key, value in sys.modules.items() if key.startswith("mininet")}
    with stand_in.declarable():
        module = import_module(f"mininet.{name.lower()}")
        assert getattr(module, name) is getattr(stand_in, name)
        assert inspect.isclass(getattr(module, name))
    after = {key: value for key, value in sys.modules.items() if key.startswith("mininet")}
    assert after == before
    assert import_module("mininet.node").Node is Node
