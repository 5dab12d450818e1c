import ipaddress

import pytest
from mininet.topo import Topo

from testbed.errors import TestbedError
from testbed.topology.declarations import (
    LinkDeclaration,
    known_topologies,
    links_between,
    load_topology,
    plain_links,
    topology_devices,
    topology_hosts,
    topology_links,
    topology_paths,
)


def test_every_topology_is_found_and_described_in_one_line():
    known = known_topologies()
    assert {"cell", "edge", "handover", "three_tier"} <= set(known)
    for topology in known.values():
        assert topology.__doc__ and "\n" not in topology.__doc__
        assert topology_links(topology())


def test_links_run_from_the_device_outwards():
    assert topology_links(load_topology("three_tier")) == [
        LinkDeclaration("radio", "device", "base_station"),
        LinkDeclaration("backhaul", "base_station", "cloud"),
    ]
    assert sorted(topology_hosts(load_topology("edge"))) == ["base_station", "device"]


@pytest.mark.parametrize(
    ("name", "device", "verifier", "between"),
    [
        ("edge", "device", "base_station", ["radio"]),
        ("three_tier", "device", "base_station", ["radio"]),
        ("three_tier", "device", "cloud", ["radio", "backhaul"]),
        ("cell", "device2", "base_station", ["access2", "radio"]),
        ("handover", "device", "base_station", ["radio"]),
    ],
)
def test_the_links_between_a_device_and_its_verifier(name, device, verifier, between):
    topology = load_topology(name, 3) if name == "cell" else load_topology(name)
    links = [*topology_links(topology), *plain_links(topology)]
    assert links_between(links, device, verifier) == between
    assert links_between(links, verifier, device) == between[::-1]
    with pytest.raises(TestbedError, match=f"no link leads from {device} to moon"):
        links_between(links, device, "moon")


def test_a_cell_has_as_many_devices_as_asked_and_one_shared_link():
    cell = load_topology("cell", 3)
    assert topology_devices(cell) == ["device1", "device2", "device3"]
    assert topology_links(cell) == [LinkDeclaration("radio", "air", "base_station", "round_robin")]
    assert plain_links(cell) == [
        LinkDeclaration(f"access{k}", f"device{k}", "air") for k in (1, 2, 3)
    ]
    assert len(topology_devices(load_topology("cell"))) == 1


def test_sixty_four_devices_have_addresses_of_their_own():
    cell = load_topology("cell", 300)
    addresses = [cell.nodeInfo(host)["ip"] for host in topology_hosts(cell)]
    addresses += [
        info["params2"]["ip"] for *_, info in cell.links(withInfo=True) if "params2" in info
    ]
    interfaces = {ipaddress.ip_interface(address) for address in addresses}
    assert len(interfaces) == 302 + 300
    networks = [each.network for each in interfaces]
    assert {networks.count(network) for network in networks} == {2}  # the two ends of a link
    names = [
        info[end] for *_, info in cell.links(withInfo=True) for end in ("intfName1", "intfName2")
    ]
    assert len(set(names)) == 2 * 301
    assert max(map(len, names)) <= 15


def test_the_others_have_one_device_and_say_so():
    for name in ("edge", "three_tier"):
        topology = load_topology(name)
        assert topology_devices(topology) == ["device"]
        assert plain_links(topology) == []
        message = f"topology {name} has one device, not 2; for more use cell"
        with pytest.raises(TestbedError, match=f"^{message}$"):
            load_topology(name, 2)


def test_an_unknown_topology_lists_the_known_ones():
    with pytest.raises(TestbedError, match=r"'egde' is unknown; there are cell, edge, handover, "):
        load_topology("egde")


def test_interface_names_fit_in_linux():
    for topology in known_topologies().values():
        for _, _, info in topology().links(withInfo=True):
            assert len(info["intfName1"]) <= 15
            assert len(info["intfName2"]) <= 15


def test_paths_name_links_hosts_and_interfaces_of_their_topology():
    able = [name for name, kind in known_topologies().items() if topology_paths(kind())]
    assert able == ["handover"]
    for name in able:
        topology = load_topology(name)
        links = {link.name: link for link in topology_links(topology)}
        interfaces = {
            (info[f"node{end}"], info[f"intfName{end}"])
            for _, _, info in topology.links(withInfo=True)
            for end in (1, 2)
        }
        for link, routes in topology_paths(topology).items():
            assert links[link].node1 == "device"
            assert "device" in routes
            for host, route in routes.items():
                assert (host, route.split(" dev ")[1].split()[0]) in interfaces


class Nameless(Topo):
    def build(self):
        self.addLink(self.addHost("a"), self.addHost("b"))


class Twins(Topo):
    def build(self):
        for name in "abc":
            self.addHost(name)
        self.addLink("a", "b", key="radio")
        self.addLink("b", "c", key="radio")


class Switched(Topo):
    def build(self):
        self.addLink(self.addHost("a"), self.addSwitch("s1"), key="radio")


@pytest.mark.parametrize("topology", [Nameless, Twins])
def test_a_link_without_a_name_of_its_own_is_refused(topology):
    with pytest.raises(TestbedError, match="the link from a to b has no name of its own"):
        topology_links(topology())


def test_switches_are_refused():
    with pytest.raises(TestbedError, match="switch s1"):
        topology_hosts(Switched())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "base_station has an interface whose name 'base_station-eth0' is longer than the 15 "
             r"bytes that Linux allows; name it in its addLink\(..., intfName2='…'\)"),
        ({"intfName2": "b" * 16}, "is longer than the 15 bytes"),
        ({"intfName2": "b/s"}, "'b/s' is none that Linux allows"),
        ({"intfName2": "b s"}, "'b s' is none that Linux allows"),
        ({"intfName2": "lo"}, "'lo' is none that Linux allows"),
        ({"intfName1": "device-eth1", "intfName2": "bs"}, "'device-eth1' is taken by another"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shaped", [True, False])
def test_an_interface_that_linux_does_not_take_is_named_before_anything_is_built(
    monkeypatch, options, error, shaped
):
    class Own(Topo):
        """One of a person's own."""

        def build(self):
            for host in ("device", "base_station", "x"):
                self.addHost(host)
            self.addLink("device", "base_station", key="radio", shaped=shaped, **options)
            self.addLink("device", "x", key="other")

    monkeypatch.setattr("testbed.topology.declarations.known_topologies", lambda: {"own": Own})
    with pytest.raises(TestbedError, match=f"^topology own: .*{error}"):
        load_topology("own")


def test_short_names_may_be_left_to_mininet(monkeypatch):
    class Own(Topo):
        """One of a person's own."""

        def build(self):
            self.addHost("device")
            self.addHost("bs")
            self.addLink("device", "bs", key="radio")

    monkeypatch.setattr("testbed.topology.declarations.known_topologies", lambda: {"own": Own})
    assert [link.name for link in topology_links(load_topology("own"))] == ["radio"]
