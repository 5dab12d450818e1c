"""Devices in one cell, on real interfaces: each one's share of the radio link."""

import json
import random
import subprocess
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from testbed.audit.checks.cell_packets import CellPackets
from testbed.audit.checks.packet_conservation import discrepancies
from testbed.audit.link_counters import LinkAudit
from testbed.calibration.preflight import check_links
from testbed.emulation.network import Network
from testbed.links.queue import Queue
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology, plain_links, topology_links
from tests.emulation.inside import Path, inside_sandbox, symmetric

RATE = 4e6
SECONDS = 2.5


def cell(duplex, devices=3):
    return Network(load_topology("cell", devices), {"radio": duplex}, "relay", 1)


def shared(discipline):
    spec = LinkSpec(rate=RATE, delay=0.005, queue=Queue(64 * 1024, "bytes", discipline))
    return Duplex(up=spec, down=LinkSpec())


def send_at(path, rate, size):
    """Send packets of `size` bytes of payload at `rate` bit/s of frames, in step with the clock.

    At irregular moments: senders in step with the link's own packets keep others out of its queue.
    """
    per_second = rate / 8 / (size + Path.FRAME - Path.PAYLOAD)
    began, number, due = time.monotonic(), 0, 0.0
    while due < SECONDS:
        time.sleep(max(0.0, began + due - time.monotonic()))
        path.send(number, size)
        number += 1
        due += random.expovariate(per_second)
    return number


def arrivals(discipline, light):
    """Send from three devices to the base station at the same time.

    Two of them send at RATE and at three times RATE, the third at 5 % of it, in packets of `light`
    bytes. Return the bit/s of frames that arrived from each after the first 0.5 s, and the number
    of packets that the third one lost.
    """
    asked = [(RATE, Path.PAYLOAD), (3 * RATE, Path.PAYLOAD), (0.05 * RATE, light)]
    with cell(shared(discipline)) as network, ExitStack() as stack:
        paths = [
            stack.enter_context(Path(network, f"device{k}", "base_station", 9000 + k))
            for k in (1, 2, 3)
        ]
        sent, got = [0] * 3, [[]] * 3

        def send(which):
            sent[which] = send_at(paths[which], *asked[which])

        def receive(which):
            got[which] = paths[which].receive_timed(SECONDS)

        began = time.monotonic()
        threads = [
            threading.Thread(target=act, args=(which,))
            for which in range(3)
            for act in (receive, send)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first, last = began + 0.5, began + SECONDS
        rates = [
            sum(first <= at < last for _, at in got[which]) * (size + 42) * 8 / (last - first)
            for which, (_, size) in enumerate(asked)
        ]
        for numbers in got:
            assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)
        up = network.wires["radio"].counters().up
        assert up.received_packets == up.forwarded_packets + up.dropped_packets == sum(sent)
        assert up.forwarded_packets == sum(map(len, got))
        assert up.socket_drops == 0
        return rates, sent[2] - len(got[2])


@inside_sandbox
def test_the_greedy_share_the_rate_and_the_light_one_gets_all_it_asks():
    (first, second, light), lost = arrivals("round_robin", 200)
    print(f"{first / RATE:.3f} {second / RATE:.3f} {light / RATE:.3f} of the rate, {lost} lost")
    assert first + second + light == pytest.approx(RATE, rel=0.02)
    assert first == pytest.approx(0.475 * RATE, rel=0.03)
    assert second == pytest.approx(0.475 * RATE, rel=0.03)
    assert lost == 0


@inside_sandbox
def test_in_one_queue_the_greediest_gets_most_and_the_light_one_loses():
    # In packets as large as the others': small ones slip into a queue that has no room for those.
    (first, second, light), lost = arrivals("drop_tail", Path.PAYLOAD)
    print(f"{first / RATE:.3f} {second / RATE:.3f} {light / RATE:.3f} of the rate, {lost} lost")
    assert first + second + light == pytest.approx(RATE, rel=0.02)
    assert second > 1.2 * first
    assert lost > 0


@inside_sandbox
def test_devices_reach_the_base_station_and_only_their_own_packets_are_theirs():
    with cell(symmetric(delay=0.01), 4) as network:
        check_links(network)
        assert list(network.wires) == ["radio"]  # four devices, one relay
        assert network.address("base_station", "device3") == "192.168.0.254"
        before = network.end_counters("access3")
        for k, count in ((3, 2), (4, 5)):
            ping = network.popen(
                f"device{k}", ["ping", "-c", str(count), "-i", "0.05", "192.168.0.254"],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert ", 0% packet loss" in ping.communicate(timeout=60)[0]
        device, air = network.end_counters("access3")
        assert device.tx_packets - before[0].tx_packets == 2
        assert device.rx_packets - before[0].rx_packets == 2
        assert (air.rx_packets, air.tx_packets) == (device.tx_packets, device.rx_packets)
        state = json.loads(json.dumps(network.state()))
        for host in state["hosts"].values():
            assert all(row["state"] == ["PERMANENT"] for row in host["neighbours"])
            for offloads in host["offloads"].values():
                assert set(offloads.values()) == {"off"}
        forwarding = {n: h["sysctls"]["net.ipv4.ip_forward"] for n, h in state["hosts"].items()}
        assert [name for name, on in forwarding.items() if on == "1"] == ["air"]


@inside_sandbox
def test_devices_send_no_packet_that_the_radio_would_refuse():
    with cell(symmetric(mtu=1000), 1) as network:
        ping = network.popen(
            "device1", ["ping", "-c", "1", "-M", "do", "-s", "1000", "192.168.0.254"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert "mtu=1000" in ping.communicate(timeout=60)[0].replace("mtu = ", "mtu=")
        assert network.end_counters("access1")[0].tx_packets == 0


@inside_sandbox
def test_what_the_air_does_not_forward_is_noticed():
    topology = load_topology("cell", 2)
    with cell(symmetric(), 2) as network:
        accountant = LinkAudit(network, topology_links(topology), plain_links(topology))
        argv = ["ping", "-q", "-c", "3", "-i", "0.05", "-W", "0.2", "192.168.0.254"]
        for forward in ("1", "0"):
            air = network.popen("air", ["sysctl", "-q", "-w", f"net.ipv4.ip_forward={forward}"])
            assert air.wait() == 0
            accountant.start()
            network.popen("device2", argv, stdout=subprocess.DEVNULL).wait()
            reasons = list(CellPackets().judge(SimpleNamespace(cells=accountant.cells())))
            assert list(discrepancies(accountant.packets())) == []
            assert (reasons == []) == (forward == "1")
            sent = accountant.plain_totals()
            assert (sent["access1"].up_packets, sent["access2"].up_packets) == (0, 3)
            assert sent["access2"].up_bytes == 3 * 98
        assert reasons == ["air, before link radio up: 3 packets came from devices, 0 went in"]
