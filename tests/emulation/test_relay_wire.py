"""The relay on real interfaces: delay, rate, loss, order, changes, counters, death."""

import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from testbed.calibration.preflight import check_links
from testbed.emulation import relay_wire
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology
from tests.emulation.inside import Path, inside_sandbox, symmetric, timed_inside_sandbox


def edge(duplex, seed=1):
    return Network(load_topology("edge"), {"radio": duplex}, "relay", seed)


def ping(network, source, target, count=20, interval=0.02):
    done = network.popen(
        source,
        ["ping", "-n", "-c", str(count), "-i", str(interval), network.address(target)],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.communicate(timeout=30)[0].splitlines()
    return [float(line.split("time=")[1].split()[0]) / 1e3 for line in lines if "time=" in line]


@timed_inside_sandbox
def test_delay_each_way_as_asked():
    with edge(symmetric()) as network:
        wire = network.wires["radio"]
        floor = statistics.median(ping(network, "device", "base_station"))
        assert floor < 0.003
        for up, down in ((0.01, 0.0), (0.0, 0.02), (0.03, 0.01)):
            wire.change(up=LinkSpec(delay=up), down=LinkSpec(delay=down))
            trips = ping(network, "device", "base_station")
            assert len(trips) == 20
            assert min(trips) >= up + down
            assert statistics.median(trips) - (up + down) < max(0.003, 2 * floor)


def one_way(path, packets, bursts=9):
    """Return the median seconds from the first send to the last arrival of a burst."""
    taken = []
    for _ in range(bursts):
        began = time.monotonic()
        for number in range(packets):
            path.send(number)
        got = path.receive_timed(most=packets)
        assert [number for number, _ in got] == list(range(packets))
        taken.append(got[-1][1] - began)
        time.sleep(0.005)
    return statistics.median(taken)


@inside_sandbox
@pytest.mark.parametrize("packets", [1, 6, 20])
def test_bursts_pay_for_every_byte(packets):
    rate = 5e6
    with edge(symmetric(rate=rate)) as network, Path(network, "device", "base_station") as path:
        ideal = packets * path.FRAME * 8 / rate
        taken = one_way(path, packets)
        print(f"burst of {packets}: {taken * 1e3:.2f} ms, ideal {ideal * 1e3:.2f} ms")
        assert ideal <= taken <= ideal + max(0.0005, 0.05 * ideal)


def send_numbered(path, count, every=0.0, size=100):
    """Send `count` packets in step with the clock, `every` seconds apart."""
    began = time.monotonic()
    for number in range(count):
        while (wait := began + number * every - time.monotonic()) > 0:
            time.sleep(wait)
        path.send(number, size)


@inside_sandbox
def test_the_same_seed_loses_the_same_packets_at_any_pace():
    survivors = []
    for seed, every in ((5, 0.0003), (5, 0.0005), (6, 0.0003)):
        with (
            edge(symmetric(loss=0.1), seed) as network,
            Path(network, "device", "base_station") as path,
        ):
            send_numbered(path, 1000, every)
            survivors.append(path.receive(0.2))
            up = network.wires["radio"].counters().up
            assert up.dropped_by["loss"] == 1000 - len(survivors[-1])
            assert up.socket_drops == 0
    assert survivors[0] == survivors[1]
    assert survivors[0] != survivors[2]


@inside_sandbox
def test_bursts_are_lost_by_the_seed_and_go_on_through_a_change():
    survivors = []
    spec = LinkSpec(loss=GilbertElliott.of_bursts(0.2, 5))
    for change in (False, True):
        with edge(Duplex(spec, LinkSpec())) as network:
            check_links(network)
            with Path(network, "device", "base_station") as path:
                send_numbered(path, 500, 0.0005)
                survivors.append(path.receive(0.2))
                if change:
                    network.wires["radio"].change(up=replace(spec, delay=0.01))
                send_numbered(path, 500, 0.0005)
                survivors[-1] += path.receive(0.2)
    assert survivors[0] == survivors[1]
    assert 600 < len(survivors[0]) < 950


def wilson(lost, sent, z=1.96):
    """Return the 95 % Wilson interval of a proportion."""
    share = lost / sent
    centre = (share + z * z / (2 * sent)) / (1 + z * z / sent)
    half = (
        z * math.sqrt(share * (1 - share) / sent + z * z / (4 * sent * sent)) / (1 + z * z / sent)
    )
    return centre - half, centre + half


@inside_sandbox
@pytest.mark.parametrize("loss", [0.01, 0.2])
def test_the_share_lost_is_the_probability(loss):
    with edge(symmetric(loss=loss)) as network, Path(network, "device", "base_station") as path:
        send_numbered(path, 5000, 0.0002)
        got = path.receive(0.2)
        low, high = wilson(5000 - len(got), 5000)
        assert low <= loss <= high


@timed_inside_sandbox
def test_jitter_spreads_arrivals_and_keeps_their_order():
    spec = LinkSpec(delay=0.03, jitter=0.02)
    with edge(Duplex(spec, LinkSpec())) as network, Path(network, "device", "base_station") as path:
        began = time.monotonic()
        send_numbered(path, 500, 0.001)
        got = path.receive_timed(0.2)
        assert [number for number, _ in got] == list(range(500))
        # Sparse packets do not wait for each other: their delay is the whole ±20 ms.
        sparse = []
        for number in range(40):
            began = time.monotonic()
            path.send(number)
            sparse.append(path.receive_timed(1.0, most=1)[0][1] - began)
        assert 0.010 <= min(sparse) < 0.018
        assert 0.042 < max(sparse) < 0.052


@timed_inside_sandbox
def test_a_law_of_jitter_on_real_packets():
    spec = LinkSpec(delay=0.03, jitter=Jitter(0.01, "pareto"))
    with edge(Duplex(spec, LinkSpec())) as network:
        check_links(network)
        network.wires["radio"].change(up=LinkSpec(delay=0.03, jitter=Jitter(0.01, "normal")))
        check_links(network)
        network.wires["radio"].change(up=spec)
        with Path(network, "device", "base_station") as path:
            held = []
            for number in range(60):
                began = time.monotonic()
                path.send(number)
                held.append(path.receive_timed(1.0, most=1)[0][1] - began)
        assert 0.03 - 0.01 * 2 / 3 <= min(held) < 0.03
        assert statistics.median(held) == pytest.approx(0.03 - 0.0032, abs=0.003)
        assert 0.03 < max(held) < 0.075


@inside_sandbox
def test_changes_take_effect_while_traffic_flows():
    """Loss to 100 % and back, then rate and delay, under a steady stream."""
    perfect, silent = LinkSpec(delay=0.02), LinkSpec(delay=0.02, loss=1)
    steps = [(0.5, silent), (1.0, perfect), (1.5, LinkSpec(rate=2e6, delay=0.05))]
    steps += [(2.0, LinkSpec(rate=20e6, delay=0.001)), (2.5, LinkSpec(delay=0.03))]
    with edge(Duplex(perfect, perfect)) as network, Path(network, "device", "base_station") as path:
        wire = network.wires["radio"]
        stream = threading.Thread(target=send_numbered, args=(path, 1500, 0.002))
        in_flight = []
        began = time.monotonic()
        stream.start()
        for at, spec in steps:
            time.sleep(max(0.0, began + at - time.monotonic()))
            in_flight.append(wire.counters().up.queued_packets)
            wire.change(up=spec)
            assert wire.duplex.up == spec
        stream.join()
        got = path.receive(0.5)
        # The changes of rate and delay, out of 20 ms and of 50 ms, met packets in flight.
        assert min(in_flight[2:4]) > 0
        missing = sorted(set(range(1500)) - set(got))
        assert got == sorted(got), "a change reordered packets"
        # Silent from 0.5 s to 1.0 s, a packet each 2 ms; and nothing else was lost.
        assert missing == list(range(missing[0], missing[0] + len(missing)))
        assert missing[0] == pytest.approx(250, abs=15)
        assert len(missing) == pytest.approx(250, abs=15)
        up = wire.counters().up
        assert (up.dropped_by["loss"], up.dropped_by["queue"], up.queued_packets) == (
            len(missing),
            0,
            0,
        )


@inside_sandbox
def test_a_thousand_changes_lose_nothing():
    spec = LinkSpec(rate=10e6, delay=0.01)
    with edge(Duplex(spec, LinkSpec())) as network, Path(network, "device", "base_station") as path:
        wire = network.wires["radio"]
        stream = threading.Thread(target=send_numbered, args=(path, 2000, 0.001, 1000))
        stream.start()
        for n in range(1000):
            wire.change(up=LinkSpec(rate=10e6 + n * 1e4, delay=0.01 + n % 10 / 1000))
        stream.join()
        assert path.receive(0.3) == list(range(2000))
        assert wire.counters().up.dropped_packets == 0


@timed_inside_sandbox
def test_every_packet_is_counted_at_any_moment():
    spec = LinkSpec(rate=4e6, delay=0.02, jitter=0.01, loss=0.1, queue=4000)
    with edge(Duplex(spec, spec)) as network, Path(network, "device", "base_station") as path:
        wire = network.wires["radio"]
        before = network.end_counters("radio")[0]
        stream = threading.Thread(target=send_numbered, args=(path, 600, 0.001, 1000))
        stream.start()
        queued = []
        while stream.is_alive():
            up = wire.counters().up
            assert up.received_packets == (
                up.forwarded_packets + up.dropped_packets + up.queued_packets
            )
            queued.append(up.queued_packets)
            time.sleep(0.01)
        got = path.receive(0.3)
        up = wire.counters().up
        after = network.end_counters("radio")[0]
        assert max(queued) > 5
        assert up.queued_packets == up.socket_drops == 0
        assert up.dropped_by["loss"] > 0
        assert up.dropped_by["queue"] > 0
        assert len(got) == up.forwarded_packets == 600 - up.dropped_packets
        assert up.received_packets == after.tx_packets - before.tx_packets == 600
        assert up.received_bytes == after.tx_bytes - before.tx_bytes == 600 * (1000 + 42)
        assert up.forwarded_bytes == len(got) * 1042
        assert 0 < up.lateness.p50 <= up.lateness.p99 <= up.lateness.max < 0.1


@inside_sandbox
def test_sixty_megabits_each_way_without_a_drop():
    spec = LinkSpec(rate=100e6, delay=0.01, queue=2**20)
    count, every = 5000, Path.FRAME * 8 / 60e6
    with (
        edge(Duplex(spec, spec)) as network,
        Path(network, "device", "base_station") as up_path,
        Path(network, "base_station", "device") as down_path,
    ):
        paths = (up_path, down_path)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            got = [pool.submit(path.receive, 0.5) for path in paths]
            for path in paths:
                pool.submit(send_numbered, path, count, every, path.PAYLOAD)
        assert time.monotonic() - began < 1.3 * count * every + 0.5, "the sender was too slow"
        assert [each.result() for each in got] == [list(range(count))] * 2
        counters = network.wires["radio"].counters()
        assert counters.up.socket_drops == counters.down.socket_drops == 0
        print(f"lateness up {counters.up.lateness}, down {counters.down.lateness}")


@inside_sandbox
def test_a_killed_relay_is_noticed():
    with edge(symmetric()) as network:
        wire = network.wires["radio"]
        wire.check()
        os.kill(wire.pid, signal.SIGKILL)
        for _ in range(100):
            time.sleep(0.01)
            try:
                wire.check()
            except TestbedError as error:
                assert "relay of link radio died" in str(error)
                break
        else:
            raise AssertionError("check() never noticed")
        with pytest.raises(TestbedError, match="radio"):
            wire.counters()
        with pytest.raises(TestbedError, match="radio"):
            wire.change(up=LinkSpec(delay=0.01))


@inside_sandbox
def test_a_relay_that_only_stands_still_is_given_time_and_then_named(monkeypatch):
    with edge(symmetric()) as network:
        wire = network.wires["radio"]
        os.kill(wire.pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (wire.pid, signal.SIGCONT)).start()
        wire.counters()
        monkeypatch.setattr(relay_wire, "patience", lambda _size: 0.2)
        os.kill(wire.pid, signal.SIGSTOP)
        with pytest.raises(
            TestbedError, match=r"the relay of link radio has not answered for 0\.2 s"
        ):
            wire.counters()
        os.kill(wire.pid, signal.SIGCONT)


@inside_sandbox
def test_the_relay_keeps_to_one_processor():
    with edge(symmetric()) as network:
        wire = network.wires["radio"]
        assert os.sched_getaffinity(wire.pid) == {wire.state()["core"]}


@inside_sandbox
def test_a_relay_that_cannot_start_says_why():
    with edge(symmetric()) as network:
        inside = network.wires["radio"].inside
        from testbed.emulation.relay_wire import RelayWire  # noqa: PLC0415

        inside.run(["ip", "link", "set", "dev", "port-b", "name", "port-c"])
        with pytest.raises(TestbedError, match=r"relay of link other died .*no interface"):
            RelayWire("other", inside, symmetric(), 1)


def test_the_relay_starts_light():
    program = (
        "import sys, testbed.emulation.relay\n"
        "heavy = {'torch', 'mininet', 'zmq', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@inside_sandbox
def test_lateness_is_judged_from_when_one_says():
    with edge(symmetric(delay=0.005)) as network:
        wire = network.wires["radio"]
        ping(network, "device", "base_station")
        assert wire.counters().up.lateness.max > 0
        wire.forget_lateness()
        lateness = [direction.lateness for direction in (wire.counters().up, wire.counters().down)]
        assert [each.max for each in lateness] == [0, 0]
