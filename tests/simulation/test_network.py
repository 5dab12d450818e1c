"""Hosts and links in virtual time: who reaches whom, what is counted, what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import simpy
from mininet.topo import Topo

from testbed.errors import TestbedError
from testbed.links.keyed_random import KeyedUniform, RandomKey
from testbed.links.queue import Queue
from testbed.links.spec import Duplex, LinkSpec
from testbed.simulation.network import VirtualNetwork
from tests.simulation.streams import Stream, network, symmetric


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("edge", [("device", "base_station")]),
        ("three_tier", [("device", "base_station"), ("device", "cloud")]),
        ("cell", [("device1", "base_station"), ("device3", "base_station")]),
        ("handover", [("device", "base_station")]),
    ],
)
def test_hosts_reach_each_other_and_nobody_else_hears(name, pairs):
    env, built = network(name, 3 if name == "cell" else 1)
    streams = [Stream(env, built, *pair) for one in pairs for pair in (one, one[::-1])]
    for number, stream in enumerate(streams):
        stream.send(number)
        assert stream.arrived == []  # never within the call that sends
    env.run()
    assert [stream.arrived for stream in streams] == [[(n, 0.0)] for n in range(len(streams))]


def test_delays_of_a_path_add_up():
    env, built = network(
        "three_tier", links={"radio": symmetric(delay=0.02), "backhaul": symmetric(delay=0.005)}
    )
    stream = Stream(env, built, "device", "cloud")
    stream.send(0)
    env.run()
    assert stream.arrived == [(0, pytest.approx(0.025))]
    assert built.longest_round_trip == pytest.approx(0.05)


def test_addresses_are_those_declared():
    _, cell = network("cell", 3)
    assert str(cell.address("base_station", "device3")) == "192.168.0.254"
    assert str(cell.address("device3")) == "10.0.3.1"
    assert str(cell.address("air", "device2")) == "10.0.2.254"
    assert str(cell.source("base_station", IPv4Address("10.0.2.1"))) == "192.168.0.254"
    _, handover = network("handover")
    assert str(handover.source("device", handover.address("base_station", "device"))) == "10.0.0.1"
    with pytest.raises(TestbedError, match=r"^the topology has no host 'cloud'; it has air, "):
        cell.address("cloud")


def test_every_packet_is_counted_where_it_goes():
    env, built = network("cell", 2, links={"radio": symmetric(loss=0.2, rate=1e7)})
    up, down = (
        Stream(env, built, "device2", "base_station"),
        Stream(env, built, "base_station", "device2"),
    )
    before = built.plain["access2"].up.counts, built.links["radio"].up.counts
    env.process(up.send_each(200, 0.002))
    env.process(down.send_each(100, 0.002, 60))
    env.run()
    assert [counts.received_packets for counts in before] == [0, 0]
    radio, access = built.links["radio"], built.plain["access2"]
    assert access.up.counts.received_packets == access.up.counts.forwarded_packets == 200
    assert access.up.counts.received_bytes == radio.up.counts.received_bytes == 200 * 1514
    assert radio.up.counts.dropped == {"loss": 200 - len(up.arrived)}
    assert radio.up.counts.forwarded_bytes == 1514 * len(up.arrived)
    assert radio.down.counts.received_packets == 100
    assert radio.down.counts.forwarded_packets == len(down.arrived)
    assert access.down.counts.received_packets == access.down.counts.forwarded_packets
    assert access.down.counts.received_bytes == 60 * len(down.arrived)
    assert built.plain["access1"].up.counts.received_packets == 0
    assert built.in_flight == 0


def test_a_seed_and_a_repetition_lose_the_same_packets_at_any_pace():
    for repetition in (0, 3):
        lost = KeyedUniform(RandomKey(4, "radio", "up", repetition), "loss")
        expected = [number for number in range(300) if lost(number) >= 0.1]
        for every in (0.001, 0.0):
            env, built = network("edge", seed=4, links={"radio": symmetric(loss=0.1)})
            stream = Stream(env, built, "device", "base_station")
            for _ in range(7):
                stream.send(0)
            env.run()
            built.restart(repetition)
            stream.arrived.clear()
            env.process(stream.send_each(300, every))
            env.run()
            assert stream.numbers() == expected


@pytest.mark.parametrize("topology", ["edge", "three_tier"])
def test_damaged_frames_never_reach_an_application(topology):
    links = {"radio": symmetric(corrupt=0.5), "backhaul": symmetric()}
    links = {
        name: links[name] for name in (("radio", "backhaul") if topology != "edge" else ("radio",))
    }
    env, built = network(topology, links=links)
    stream = Stream(env, built, "device", "base_station" if topology == "edge" else "cloud")
    env.process(stream.send_each(400, 0.001, 200))
    env.run()
    damaged = built.links["radio"].up.counts.corrupted
    assert len(stream.arrived) == 400 - damaged
    assert 150 < damaged < 250
    refused = built.refused
    assert sum(refused.values()) == damaged
    if topology == "three_tier":
        # A router looks at the header of IP alone, 20 of 186 bytes.
        assert 5 < refused["base_station"] < 45
        arrived = built.links["backhaul"].up.counts.received_packets
        assert arrived == 400 - refused["base_station"]


def test_a_duplicate_arrives_twice():
    env, built = network("edge", links={"radio": symmetric(duplicate=1.0)})
    stream = Stream(env, built, "device", "base_station")
    stream.send(5)
    env.run()
    assert stream.numbers() == [5, 5]


def test_no_host_sends_above_the_smallest_mtu():
    links = {"radio": Duplex(LinkSpec(mtu=1400), LinkSpec()), "backhaul": symmetric(mtu=1450)}
    env, built = network("three_tier", links=links)
    assert built.mtu == 1400
    stream = Stream(env, built, "cloud", "device")
    stream.send(0, 1414)
    with pytest.raises(
        TestbedError, match=r"^cloud sends an IP packet of 1401 bytes; the smallest"
    ):
        stream.send(1, 1415)
    env.run()
    assert stream.numbers() == [0]


def test_frames_of_a_closed_connection_are_dropped():
    env, built = network("edge")
    stream = Stream(env, built, "device", "base_station")
    built.receive("base_station", stream.connection, None)
    stream.send(0)
    env.run()
    assert stream.arrived == []


def test_it_settles_once_nothing_moves():
    env, built = network("edge", links={"radio": symmetric(delay=0.3, rate=1e6)})
    stream = Stream(env, built, "device", "base_station")
    env.process(stream.send_each(30, 0.02))
    settled = env.process(built.settle())
    env.run(settled)
    assert len(stream.arrived) == 30
    assert stream.arrived[-1][1] < env.now < stream.arrived[-1][1] + 0.2


def test_it_does_not_wait_for_ever():
    env, built = network("edge", links={"radio": symmetric(rate=0, queue=10**6)})
    stream = Stream(env, built, "device", "base_station")
    env.process(stream.send_each(300, 0.0))
    env.run(env.process(built.settle()))
    assert built.in_flight
    assert env.now == pytest.approx(5, abs=0.2)
    with pytest.raises(TestbedError, match=r"link radio: .* packets still wait"):
        built.restart(1)


def test_the_links_must_be_those_of_the_topology():
    with pytest.raises(TestbedError, match=r"^links must be radio: 'backhaul' is not one, 'radio'"):
        network("edge", links={"backhaul": symmetric()})


class Plain(Topo):
    """A device beside a router, over links of which one is shaped and not on its way."""

    ROUTES = ("via 10.0.0.2", "via 10.0.1.1")

    def build(self):
        self.addHost("device", ip="10.0.0.1/24", defaultRoute=self.ROUTES[0])
        self.addHost("router", ip="10.0.0.2/24", defaultRoute=self.ROUTES[1])
        self.addHost("base_station", ip="10.0.1.1/24", defaultRoute="via 10.0.1.2")
        self.addLink("device", "router", key="first", shaped=False)
        self.addLink(
            "router", "base_station", key="second", shaped=False, params1={"ip": "10.0.1.2/24"}
        )
        self.addLink(
            "device", "base_station", key="radio",
            params1={"ip": "10.9.0.1/24"}, params2={"ip": "10.9.0.2/24"},
        )  # fmt: skip


def plain(**declared):
    kind = type("Own", (Plain,), declared)
    env = simpy.Environment()
    return env, VirtualNetwork(env, kind(), {"radio": symmetric()}, 1)


def test_plain_links_alone_deliver_after_the_call_too():
    env, built = plain()
    there = Stream(env, built, "device", "router")
    built.receive("router", there.connection, lambda segment: heard.append(back.send(9)))
    back, heard = Stream(env, built, "router", "device"), []
    there.send(0)
    assert not heard
    env.run()
    assert heard == [None]
    assert back.arrived == [(9, 0.0)]


@pytest.mark.parametrize(
    ("routes", "target", "error"),
    [
        (("via 10.0.0.2", "via 10.0.0.1"), "8.8.8.8", "the routes to 8.8.8.8 lead round in a circ"),
        (("via 10.0.0.2", None), "8.8.8.8", "router has no route to 8.8.8.8"),
        ((None, None), "8.8.8.8", "device has no route to 8.8.8.8"),
        (("via 10.0.0.2", None), "10.0.0.1", "device sends to 10.0.0.1, its own address"),
    ],
)
def test_a_frame_without_a_way_is_an_error(routes, target, error):
    _, built = plain(ROUTES=routes)
    stream = Stream(None, built, "device", "router")
    stream.to = IPv4Address(target)
    with pytest.raises(TestbedError, match=f"^{error}"):
        stream.send(0)


@pytest.mark.parametrize(
    ("route", "error"),
    [
        ("via 10.7.0.1", "no interface of the host leads there"),
        ("via 10.0.0.2 dev nowhere", "no interface of the host leads there"),
        ("via", r"no interface|it must have the form"),
        ("through 10.0.0.2", "it must have the form TARGET via ADDRESS dev NAME src IP"),
    ],
)
def test_a_route_that_no_host_could_have_is_refused(route, error):
    with pytest.raises(TestbedError, match=rf"^the route '{route}' of device: {error}"):
        plain(ROUTES=(route, None))


@pytest.mark.parametrize("address", ["10.1.0.0.1", None])
def test_an_interface_without_an_address_is_named(address):
    class Own(Topo):
        def build(self):
            for name in ("device", "base_station"):
                self.addHost(name)
            self.addLink("device", "base_station", key="radio")
            params = {"params1": {"ip": "10.1.0.1/24"}, "params2": address and {"ip": address}}
            self.addLink("device", "base_station", key="second", intfName2="bs", **params)

    error = f"^bs of base_station has the address '{address or ''}', not one like 10.0.0.1/24; "
    with pytest.raises(TestbedError, match=error):
        VirtualNetwork(simpy.Environment(), Own(), dict.fromkeys(("radio", "second")), 1)


def test_hosts_without_addresses_get_those_that_mininet_gives():
    class Own(Topo):
        def build(self):
            for name in ("device", "base_station"):
                self.addHost(name)
            self.addLink("device", "base_station", key="radio", intfName2="bs")

    built = VirtualNetwork(simpy.Environment(), Own(), {"radio": symmetric()}, 1)
    assert str(built.address("base_station")) == "10.0.0.1"
    assert str(built.address("device")) == "10.0.0.2"


RATE = 10e6


def shares(discipline, senders, seconds=1.0):
    """Return the share of the rate that each device's packets got, and its packets that were lost.

    senders: the share of the rate at which each device sends, and the size of its frames.
    """
    radio = symmetric(rate=RATE, queue=Queue(100e3, discipline=discipline))
    env, built = network("cell", len(senders), links={"radio": radio})
    streams = []
    for number, (share, size) in enumerate(senders, start=1):
        stream = Stream(env, built, f"device{number}", "base_station")
        every = size * 8 / (share * RATE)
        count = round(seconds / every)
        env.process(stream.send_each(count, every, size))
        streams.append((stream, count, size))
    env.run(until=seconds)
    got = [len(stream.arrived) * size * 8 / (seconds * RATE) for stream, _, size in streams]
    env.run()
    return got, [count - len(stream.arrived) for stream, count, _ in streams]


def test_the_greedy_share_a_cell_and_the_light_one_gets_all_it_asks():
    got, lost = shares("round_robin", [(2.0, 1514), (3.0, 1514), (0.05, 242)])
    assert got == pytest.approx([0.475, 0.475, 0.05], rel=0.03)
    assert lost[2] == 0
    assert lost[0] and lost[1]


def test_many_devices_share_a_cell_equally():
    got, _ = shares("round_robin", [(0.5 + 0.1 * number, 1514) for number in range(8)], 3.0)
    assert got == pytest.approx([1 / 8] * 8, rel=0.03)


def test_in_one_queue_the_greediest_gets_most():
    got, lost = shares("drop_tail", [(2.0, 1514), (3.0, 1514), (0.05, 1514)])
    assert got[1] > 1.2 * got[0]
    assert lost[2]
