"""Handovers on real interfaces: the path changes there and back, and nothing is lost."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.calibration.preflight import check_links
from testbed.emulation.handovers import Handovers
from testbed.emulation.mininet_link import namespace_of
from testbed.emulation.network import Network
from testbed.emulation.route_metrics import RouteMetrics
from testbed.errors import TestbedError
from testbed.links.handovers import Handover
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import LinkSpec
from testbed.topology.declarations import load_topology, topology_paths
from tests.emulation.inside import Path, inside_sandbox, symmetric, timed_inside_sandbox
from tests.support.handover import LINKS, NEW, OLD, PLAN, expected_arrival, schedules

ANCHOR, DEVICE = "10.0.0.254", "10.0.0.1"
EVERY = 0.002  # seconds between packets
COUNT = 900


def mobile(plan=PLAN, links=LINKS):
    topology = load_topology("handover")
    return Network(topology, links, "relay", 1, schedules=schedules(links, plan), handovers=plan)


def begin(network):
    for wire in network.wires.values():
        wire.restart(0, None)
    began = time.monotonic()
    for wire in network.wires.values():
        wire.begin(began)
    network.handovers.begin(began)
    return began


def leaves_by(network, host, target):
    (route,) = namespace_of(network._host(host)).json(["ip", "-j", "route", "get", target])
    return route["dev"]


def stream(path, began):
    """Send packets in step with the clock; return the times of sending, in seconds from `began`."""
    sent = []
    for number in range(COUNT):
        time.sleep(max(0.0, began + number * EVERY - time.monotonic()))
        sent.append(time.monotonic() - began)
        path.send(number, 100)
    return sent


@timed_inside_sandbox
def test_two_streams_across_two_handovers():
    with (
        mobile() as network,
        Path(network, "device", "base_station") as up,
        Path(network, "base_station", "device") as down,
        ThreadPoolExecutor(4) as pool,
    ):
        check_links(network)
        before = {name: wire.counters() for name, wire in network.wires.items()}
        began = begin(network)
        received = [pool.submit(path.receive_timed, 1.0, COUNT) for path in (up, down)]
        times = [pool.submit(stream, path, began) for path in (up, down)]
        for direction, got, sent in zip(("up", "down"), received, times, strict=True):
            assert sorted(number for number, _ in got.result()) == list(range(COUNT))
            late = [
                arrival - began - expected_arrival(direction, sent.result()[number])
                for number, arrival in got.result()
                # At a handover itself either path is right.
                if all(not -0.003 < sent.result()[number] - each.time < 0.01 for each in PLAN)
            ]
            assert min(late) > -0.0005
            assert sorted(late)[len(late) // 2] < 0.003
            assert sorted(late)[len(late) * 9 // 10] < 0.02
            carried = {}
            for name, wire in network.wires.items():
                now, then = (getattr(each, direction) for each in (wire.counters(), before[name]))
                carried[name] = now.received_packets - then.received_packets
                assert (now.dropped_packets, now.queued_packets) == (0, 0)
            away = sum(PLAN[0].time <= each < PLAN[1].time for each in sent.result())
            assert carried["radio_2"] == carried["between"] == pytest.approx(away, abs=6)
            assert carried["radio"] + carried["radio_2"] == COUNT
        applied = network.handovers.applied()
        assert [each.scheduled - began for each in applied] == pytest.approx([0.5, 1.2])
        print("late by", [each.applied - each.scheduled for each in applied])
        assert all(0 <= each.applied - each.scheduled < 0.03 for each in applied)
        changes = {name: len(wire.applied()) for name, wire in network.wires.items()}
        assert changes == {"radio": 4, "radio_2": 4, "between": 0}
        network.handovers.end()


@inside_sandbox
def test_a_connection_survives_two_handovers():
    with mobile() as network:
        with network.inside("base_station").entered():
            listener = socket.create_server(("", 9001))
        with network.inside("device").entered():
            client = socket.create_connection((ANCHOR, 9001))
        server, (address, _) = listener.accept()
        assert address == DEVICE

        def echo():
            while data := server.recv(65536):
                server.sendall(data)

        echoing = threading.Thread(target=echo)
        echoing.start()
        client.settimeout(60)
        began = begin(network)
        trips = []
        while time.monotonic() < began + 1.8:
            sent = time.monotonic()
            client.sendall(b"a message of 600 bytes".ljust(600, b"."))
            got = b""
            while len(got) < 600:
                got += client.recv(600 - len(got))
            trips.append((sent - began, time.monotonic() - sent))
        client.close()
        echoing.join()
        for path, first, last in ((OLD, 0, 0.45), (NEW, 0.6, 1.15), (OLD, 1.3, 1.8)):
            between = [trip for sent, trip in trips if first < sent < last]
            assert len(between) > 5
            assert 2 * path <= min(between) < 2 * path + 0.005
        assert max(trip for _, trip in trips) > PLAN[0].stall
        network.handovers.check()
        for wire in network.wires.values():
            assert wire.counters().up.dropped_packets == wire.counters().down.dropped_packets == 0
        for each in (server, listener):
            each.close()


@inside_sandbox
def test_each_beginning_is_on_the_first_path():
    with mobile([Handover(0.05, "radio_2")]) as network:
        for _ in range(2):
            begin(network)
            assert leaves_by(network, "device", ANCHOR) == "device-radio"
            assert leaves_by(network, "base_station", DEVICE) == "bs-radio"
            time.sleep(0.15)
            assert leaves_by(network, "device", ANCHOR) == "device-radio-2"
            assert leaves_by(network, "base_station", DEVICE) == "bs-between"
            assert leaves_by(network, "base_station_2", DEVICE) == "bs2-radio"
            assert len(network.handovers.applied()) == 1
        network.handovers.reset()
        assert leaves_by(network, "device", ANCHOR) == "device-radio"


@inside_sandbox
def test_links_begin_together_however_long_they_took_to_restart():
    links = {**LINKS, "between": symmetric()}
    hold = read_schedule(links["radio"], "run", [], {}, "links.radio", holds=[(0.1, 0.2)])
    holds = dict.fromkeys(links, hold)
    topology = load_topology("handover")
    with (
        Network(topology, links, "relay", 1, schedules=holds) as network,
        Path(network, "device", "base_station") as path,
    ):
        for wire in network.wires.values():
            wire.restart(0, None)
            time.sleep(0.15)
        began = time.monotonic()
        for wire in network.wires.values():
            wire.begin(began)
            assert wire.applied() == []
        path.send(0)
        assert path.receive_timed(1.0, 1)[0][1] < began + 0.06  # the link is not held any more
        time.sleep(max(0.0, began + 0.25 - time.monotonic()))
        for wire in network.wires.values():
            assert [each.scheduled for each in wire.applied()] == [began + 0.1, began + 0.2]
            assert wire.began() == began


@inside_sandbox
def test_what_cannot_be_done_is_an_error():
    with mobile([Handover(0.05, "radio_2")]) as network:
        device = network.handovers._ips["device"]
        begin(network)
        device.process.kill()
        time.sleep(0.2)
        with pytest.raises(TestbedError, match=r"handover to radio_2 failed: host device: .* died"):
            network.handovers.end()
    with mobile([]) as network:
        inside = {name: namespace_of(network._host(name)) for name in network._host_names}
        paths = topology_paths(load_topology("handover"))
        wrong = {"device": f"{ANCHOR} via 10.9.9.9 dev device-radio"}
        with pytest.raises(TestbedError, match=r"host device: ip refused .* invalid gateway"):
            Handovers({"radio": wrong}, inside, [], RouteMetrics("cubic"))
        inside["device"].set_sysctls({"net.ipv4.conf.device-radio.rp_filter": "1"})
        with pytest.raises(TestbedError, match="reverse-path filter of device-radio in device"):
            Handovers(paths, inside, [], RouteMetrics("cubic"))


def test_whatever_a_thread_dies_of_is_an_error():
    made = Handovers({}, {}, [Handover(0.0, "nowhere")], RouteMetrics("cubic"))
    made.begin(time.monotonic())
    made._thread.join()
    with pytest.raises(TestbedError, match="the handover to nowhere failed: KeyError: 'nowhere'"):
        made.end()


@inside_sandbox
def test_a_topology_with_one_path_has_nothing_to_hand_over():
    with Network(load_topology("edge"), {"radio": symmetric()}, "relay", 1) as network:
        network.handovers.begin(time.monotonic())
        network.handovers.end()
        assert network.handovers.applied() == []


@timed_inside_sandbox
def test_a_backlog_leaves_by_the_old_link_when_the_stall_is_over():
    slow = symmetric(rate=1e6, delay=0.005)
    links = {**LINKS, "radio": slow}
    plan = [Handover(0.1, "radio_2", 0.05)]
    with (
        mobile(plan, links) as network,
        Path(network, "device", "base_station") as path,
        ThreadPoolExecutor(1) as pool,
    ):
        began = begin(network)
        receiving = pool.submit(path.receive_timed, 1.0, 6)
        time.sleep(max(0.0, began + 0.08 - time.monotonic()))
        for number in range(5):  # 11.5 ms each, so that one has left and four wait
            path.send(number)
        time.sleep(max(0.0, began + 0.12 - time.monotonic()))
        path.send(5)
        arrived = dict(receiving.result())
        assert sorted(arrived) == list(range(6))
        assert arrived[0] - began < 0.1
        assert arrived[1] - began > 0.15
        assert arrived[4] - began == pytest.approx(0.15 + 0.0385 + 0.005, abs=0.01)
        assert arrived[5] - began == pytest.approx(0.15 + NEW, abs=0.005)
        counts = {name: wire.counters().up for name, wire in network.wires.items()}
        assert [each.forwarded_packets for each in counts.values()] == [5, 1, 1]
        assert LinkSpec(rate=1e6, delay=0.005) == network.wires["radio"].duplex.up
