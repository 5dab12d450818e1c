"""The Mininet network: names, addresses, settings read back, the check before a run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mininet.topo import Topo

from testbed.audit.measured_links import severity
from testbed.calibration.preflight import check_links
from testbed.emulation import mininet_link
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.links.schedule import Moment, Schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology, topology_links
from tests.emulation.inside import inside_sandbox, symmetric


def three_tier(radio=None, backhaul=None):
    links = {"radio": radio or symmetric(), "backhaul": backhaul or symmetric()}
    return Network(load_topology("three_tier"), links, "relay", 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["radio"], "links must be radio, backhaul: 'backhaul' is missing"),
        (["radio", "backhaul", "wifi"], "links must be radio, backhaul: 'wifi' is not one"),
        (["radoi", "backhaul"], "'radoi' is not one, 'radio' is missing"),
    ],
)
def test_wrong_link_names(names, message):
    with pytest.raises(TestbedError, match=message):
        Network(load_topology("three_tier"), {name: symmetric() for name in names}, "relay", 1)


def test_a_network_that_is_not_running_says_so():
    with pytest.raises(TestbedError, match="not running"):
        three_tier().address("device")
    three_tier().stop()


def test_the_longest_round_trip_is_along_links_in_a_row():
    # In a row they add up, and side by side they do not.
    assert three_tier(symmetric(delay=3), symmetric(delay=0.5)).longest_round_trip() == 7
    cells = load_topology("handover")
    links = {link.name: symmetric(delay=0.5) for link in topology_links(cells)}
    assert len(links) == 3
    assert Network(cells, links, "relay", 1).longest_round_trip() == 2
    edges = load_topology("edge")
    held = Schedule((Moment(1, *[LinkSpec()] * 2, held=True), Moment(3, *[LinkSpec()] * 2)))
    network = Network(edges, {"radio": symmetric()}, "relay", 1, schedules={"radio": held})
    assert network.longest_round_trip() == 4


@inside_sandbox
def test_three_tiers_reach_each_other_across_two_links():
    network = three_tier(symmetric(delay=0.01), symmetric(delay=0.005))
    with network:
        assert network.address("device") == "10.0.0.1"
        assert network.address("base_station") == "10.0.0.254"
        assert network.address("base_station", "cloud") == "10.1.0.254"
        assert network.address("cloud", "device") == "10.1.0.1"
        with pytest.raises(TestbedError, match="no host 'moon'; it has base_station, cloud"):
            network.address("moon")
        assert list(network.wires) == ["radio", "backhaul"]

        check_links(network)
        before = {name: wire.counters() for name, wire in network.wires.items()}
        ping = network.popen(
            "device", ["ping", "-c", "3", "-i", "0.05", network.address("cloud")],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = ping.communicate(timeout=60)[0]
        assert ", 0% packet loss" in said
        assert float(said.split("rtt min/avg/max/mdev = ")[1].split("/")[0]) >= 30
        for name, wire in network.wires.items():
            for direction in ("up", "down"):
                was, now = getattr(before[name], direction), getattr(wire.counters(), direction)
                assert now.forwarded_packets - was.forwarded_packets == 3
    network.stop()


@inside_sandbox
def test_only_meant_packets_cross_and_settings_are_in_force():
    with three_tier(symmetric(rate=5e6, delay=0.01)) as network:
        time.sleep(1)
        for wire in network.wires.values():
            assert wire.counters().up.received_packets == 0
            assert wire.counters().down.received_packets == 0
        state = json.loads(json.dumps(network.state()))
        assert state["links"]["radio"]["up"]["rate"] == "5mbit"
        assert state["links"]["radio"]["wire"]["applied"]["up"]["queue"] == "125KB"
        assert state["links"]["radio"]["nodes"] == ["device", "base_station"]
        for host in state["hosts"].values():
            assert host["sysctls"]["net.ipv6.conf.all.disable_ipv6"] == "1"
            assert host["sysctls"]["net.ipv4.tcp_no_metrics_save"] == "1"
            for offloads in host["offloads"].values():
                assert len(offloads) == 6
                assert set(offloads.values()) == {"off"}
            assert all(row["state"] == ["PERMANENT"] for row in host["neighbours"])
        for link in state["links"].values():
            for offloads in link["offloads"].values():
                assert set(offloads.values()) == {"off"}
        assert state["hosts"]["base_station"]["sysctls"]["net.ipv4.ip_forward"] == "1"
        assert state["hosts"]["device"]["sysctls"]["net.ipv4.ip_forward"] == "0"


@inside_sandbox
def test_popen_keeps_the_directory_and_has_its_own_session():
    with three_tier() as network:
        program = "import os; print(os.getcwd()); print(os.getsid(0) == os.getpid())"
        process = network.popen(
            "device", [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        )
        assert process.communicate(timeout=60)[0].splitlines() == [str(Path.cwd()), "True"]
        forever = network.popen("device", ["sleep", "62.5"])
        assert forever.poll() is None
    assert forever.poll() is not None


@inside_sandbox
def test_the_check_names_a_silent_link():
    with three_tier() as network:
        wire = network.wires["backhaul"]
        wire.inside.run(["ip", "link", "set", "dev", "port-a", "down"])
        with pytest.raises(TestbedError, match="backhaul"):
            check_links(network)


@inside_sandbox
def test_the_check_names_a_link_that_is_off_its_delay():
    with three_tier() as network:
        wire = network.wires["radio"]
        wire.change(up=LinkSpec(delay=0.03), down=LinkSpec(delay=0.01))
        check_links(network)
        for claimed in (0.02, 0.035):  # the wire believes in another delay than it applies
            wire.duplex = Duplex(up=LinkSpec(delay=claimed), down=LinkSpec(delay=0.01))
            with pytest.raises(TestbedError, match="link radio up: delay, median was 30"):
                check_links(network)
        wire.duplex = Duplex(up=LinkSpec(delay=0.027), down=LinkSpec(delay=0.01))
        late = [check for check in check_links(network) if check.outcome == "failed"]
        assert [(check.direction, severity(check)) for check in late] == [("up", "suspect")]


@inside_sandbox
def test_the_check_tolerates_loss_and_skips_a_dead_link():
    with three_tier(symmetric(loss=0.4), symmetric(loss=1)) as network:
        check_links(network)


class WrongAddress(Topo):
    def build(self):
        self.addHost("device", ip="10.0.0.1/24")
        self.addHost("base_station", ip="10.0.0.999/24")
        self.addLink(
            "device", "base_station", key="radio", intfName1="device-radio", intfName2="bs-radio"
        )


@inside_sandbox
def test_what_mininet_would_only_print_is_raised():
    with pytest.raises(TestbedError, match=r"10\.0\.0\.999"):
        Network(WrongAddress(), {"radio": symmetric()}, "relay", 1).start()
    mininet_link.make_mininet_raise()
    with pytest.raises(TestbedError, match="Mininet reported: Error: no such qdisc"):
        mininet_link.lg.error("*** Error: no such qdisc\n")


@inside_sandbox
def test_a_failed_start_leaves_no_process():
    with pytest.raises(TestbedError):
        Network(WrongAddress(), {"radio": symmetric()}, "relay", 1).start()
    time.sleep(0.2)
    listed = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True)
    left = [line for line in listed.stdout.splitlines() if "mininet:" in line and line[0] != "Z"]
    assert left == []
