"""The netem wires: in a kernel that has netem (`scripts/test.sh` boots one), and in a guest."""

import statistics
import threading
import time

import pytest

from testbed.calibration.preflight import check_links
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.netem import probe_netem
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.handovers import Handover
from testbed.links.jitter import Jitter
from testbed.links.schedule import Moment, Schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology
from tests.emulation.inside import Path, inside_sandbox, symmetric, timed_inside_sandbox

LINE = Duplex(LinkSpec(delay=0.005), LinkSpec(delay=0.005))


@pytest.fixture(
    params=[pytest.param("netem", marks=pytest.mark.netem), "guest netem"],
    ids=["host", "guest"],
)
def backend(request):
    """Return a backend; skip the test if this machine lacks it."""
    probe = probe_netem()
    if request.param == "netem" and not probe.available:
        pytest.skip(f"this kernel has no netem: {probe.reason}")
    if request.param == "guest netem" and (probe.available or guest_missing()):
        pytest.skip(f"no guest kernel, or no need of one: {guest_missing()}")
    return request.param


@pytest.fixture
def edge(backend):
    """Return a function that makes networks on the backend."""
    return lambda duplex: Network(load_topology("edge"), {"radio": duplex}, backend, 1)


@inside_sandbox
def test_delay_and_changes_in_place(edge):
    with edge(Duplex(up=LinkSpec(delay=0.02), down=LinkSpec(delay=0.01))) as network:
        check_links(network)
        wire = network.wires["radio"]
        wire.change(up=LinkSpec(rate=5e6, delay=0.05, jitter=0.005))
        check_links(network)
        wire.change(up=LinkSpec())  # back from a rate to none
        check_links(network)
        wire.check()
        counters = wire.counters()
        assert counters.up.received_packets == counters.up.forwarded_packets > 75
        assert counters.down.received_bytes == counters.down.forwarded_bytes == 75 * 142
        shaped = wire.shaped["up"]
        wire._tc.run(f"qdisc change dev {shaped} root netem loss 5%", f"qdisc show dev {shaped}")
        with pytest.raises(TestbedError, match=f"netem on {shaped} of link radio has"):
            wire.check()


@timed_inside_sandbox
@pytest.mark.parametrize("packets", [1, pytest.param(6, marks=pytest.mark.long), 20])
def test_bursts_pay_for_every_byte(edge, packets):
    rate = 5e6
    with edge(symmetric(rate=rate)) as network, Path(network, "device", "base_station") as path:
        taken = []
        for _ in range(9):
            began = time.monotonic()
            for number in range(packets):
                path.send(number)
            taken.append(path.receive_timed(most=packets)[-1][1] - began)
            time.sleep(0.02)
        ideal = packets * path.FRAME * 8 / rate
        assert statistics.median(taken) == pytest.approx(ideal, rel=0.05, abs=0.002)


@inside_sandbox
def test_jitter_keeps_order_without_a_rate(edge):
    spec = LinkSpec(delay=0.05, jitter=0.02)
    with edge(Duplex(spec, LinkSpec())) as network, Path(network, "device", "base_station") as path:
        for number in range(200):
            path.send(number, 100)
            time.sleep(0.002)
        assert path.receive(0.5) == list(range(200))


@inside_sandbox
def test_laws_of_jitter_and_bursts_are_applied_and_changed(edge):
    law = LinkSpec(delay=0.05, jitter=Jitter(0.01, "paretonormal"))
    with edge(Duplex(law, LinkSpec())) as network:
        check_links(network)
        wire = network.wires["radio"]
        bursts = LinkSpec(delay=0.02, loss=GilbertElliott.of_bursts(0.1, 3))
        wire.change(up=bursts, down=LinkSpec(loss=GilbertElliott(0.01, 0.5, 0.8, 0.001)))
        check_links(network)
        wire.check()
        wire.change(up=LinkSpec(delay=0.02, loss=0.01), down=LinkSpec())
        wire.check()
        with pytest.raises(TestbedError, match="cannot change to uniform jitter from another"):
            wire.change(up=LinkSpec(delay=0.02, jitter=0.01))


@inside_sandbox
def test_drops_are_counted(edge):
    spec = LinkSpec(rate=1e6, loss=0.3, queue=20_000)
    with edge(Duplex(spec, LinkSpec())) as network, Path(network, "device", "base_station") as path:
        for number in range(100):
            path.send(number)
        got = path.receive(0.5)
        up = network.wires["radio"].counters().up
        assert up.received_packets == 100
        assert up.dropped_packets == 100 - len(got)
        assert up.forwarded_packets == len(got)
        assert 0 < len(got) < 20


@inside_sandbox
def test_the_netem_of_a_wire_that_dies_is_noticed(edge):
    with edge(symmetric(delay=0.01)) as network:
        wire = network.wires["radio"]
        wire._process.kill()
        wire._process.wait()
        with pytest.raises(TestbedError, match="the netem of link radio has ended"):
            wire.check()
        with pytest.raises(TestbedError, match="link radio: the process that runs tc died"):
            wire.counters()


@inside_sandbox
def test_a_refused_change_says_what_tc_said(edge):
    with edge(symmetric(delay=0.01)) as network:
        wire = network.wires["radio"]
        with pytest.raises(TestbedError, match=r"link radio: tc refused .*delay"):
            wire._tc.run("qdisc change dev nowhere root netem delay 1ms", "qdisc show")
        wire.check()


@timed_inside_sandbox
def test_a_schedule_is_kept_to_and_begins_with_the_first_packet(edge):
    with edge(symmetric(delay=0.005)) as network, Path(network, "device", "base_station") as path:
        wire = network.wires["radio"]
        later = [LinkSpec(delay=0.005 + n / 1000) for n in range(1, 21)]
        moments = tuple(Moment(n * 0.02, spec, LinkSpec()) for n, spec in enumerate(later))
        wire.follow(Schedule(moments, on_first_packet=True))
        wire.restart(0, None)
        time.sleep(0.2)
        assert wire.applied() == []
        began = time.monotonic()
        path.send(1)
        time.sleep(0.6)
        applied = wire.applied()
        assert len(applied) == 20
        assert applied[0].scheduled == pytest.approx(began, abs=0.02)
        late = sorted(each.applied - each.scheduled for each in applied)
        assert 0 <= late[0] <= late[-2] < 0.01
        assert wire._in_force.up == later[-1]
        wire.check()
        wire.restart(0, None)
        assert wire._in_force.up == LinkSpec(delay=0.005)
        time.sleep(0.2)
        assert (wire.began(), wire.applied()) == (None, [])  # what came before does not count
        path.send(1)
        time.sleep(0.1)
        assert wire.began() is not None


@inside_sandbox
def test_a_handover_without_a_stall_changes_the_path(backend):
    links = {"radio": symmetric(delay=0.02), "radio_2": LINE, "between": LINE}
    plan = [Handover(0.2, "radio_2")]
    topology = load_topology("handover")
    with (
        Network(topology, links, backend, 1, handovers=plan) as network,
        Path(network, "device", "base_station") as path,
    ):
        check_links(network)
        before = {name: wire.counters().up for name, wire in network.wires.items()}
        for wire in network.wires.values():
            wire.restart(0, None)
        began = time.monotonic()
        for wire in network.wires.values():
            wire.begin(began)
        network.handovers.begin(began)
        for number in range(40):
            path.send(number, 100)
            time.sleep(0.01)
        assert sorted(path.receive(1.0)) == list(range(40))
        network.handovers.end()
        carried = {
            name: wire.counters().up.forwarded_packets - before[name].forwarded_packets
            for name, wire in network.wires.items()
        }
        assert carried["radio"] + carried["radio_2"] == 40
        assert carried["radio_2"] == carried["between"] > 10


@inside_sandbox
def test_a_thousand_changes_lose_nothing(edge):
    with edge(symmetric(delay=0.01)) as network, Path(network, "device", "base_station") as path:
        wire = network.wires["radio"]
        sending = threading.Thread(
            target=lambda: [(path.send(n, 200), time.sleep(0.001)) for n in range(2000)]
        )
        sending.start()
        for n in range(1000):
            wire.change(up=LinkSpec(rate=10e6 + n * 1e4, delay=0.01 + n % 10 / 1000))
        sending.join()
        got = path.receive(0.3)
        up = wire.counters().up
        assert up.dropped_packets == 0
        assert sorted(got) == list(range(2000))
