"""The netem wire on a kernel that has netem; skipped elsewhere."""

import statistics
import time

import pytest

from testbed.emulation.netem import probe_netem
from testbed.emulation.network import Network
from testbed.emulation.topology import load_topology
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.spec import Duplex, LinkSpec
from tests.emulation.inside import Path, inside_sandbox, symmetric


@pytest.fixture(autouse=True)
def kernel_with_netem():
    probe = probe_netem()
    if not probe.available:
        pytest.skip(f"this kernel has no netem: {probe.reason}")


pytestmark = pytest.mark.netem


def edge(duplex):
    return Network(load_topology("edge"), {"radio": duplex}, "netem", 1)


@inside_sandbox
def test_delay_and_changes_in_place():
    with edge(Duplex(up=LinkSpec(delay=0.02), down=LinkSpec(delay=0.01))) as network:
        network.ping_check()
        wire = network.wires["radio"]
        wire.change(up=LinkSpec(rate=5e6, delay=0.05, jitter=0.005))
        network.ping_check()
        wire.change(up=LinkSpec())  # back from a rate to none
        network.ping_check()
        wire.check()
        counters = wire.counters()
        assert counters.up.received_packets == counters.up.forwarded_packets == 15
        assert counters.down.received_bytes == counters.down.forwarded_bytes == 15 * 98
        wire.inside.run(["tc", "qdisc", "change", "dev", "port-b", "root", "netem", "loss", "5%"])
        with pytest.raises(TestbedError, match="netem on port-b of link radio has"):
            wire.check()


@inside_sandbox
@pytest.mark.parametrize("packets", [1, 6, 20])
def test_bursts_pay_for_every_byte(packets):
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
def test_jitter_keeps_order_without_a_rate():
    spec = LinkSpec(delay=0.05, jitter=0.02)
    with edge(Duplex(spec, LinkSpec())) as network, Path(network, "device", "base_station") as path:
        for number in range(200):
            path.send(number, 100)
            time.sleep(0.002)
        assert path.receive(0.5) == list(range(200))


@inside_sandbox
def test_laws_of_jitter_and_bursts_are_applied_and_changed():
    law = LinkSpec(delay=0.05, jitter=Jitter(0.01, "paretonormal"))
    with edge(Duplex(law, LinkSpec())) as network:
        network.ping_check()
        wire = network.wires["radio"]
        bursts = LinkSpec(delay=0.02, loss=GilbertElliott.of_bursts(0.1, 3))
        wire.change(up=bursts, down=LinkSpec(loss=GilbertElliott(0.01, 0.5, 0.8, 0.001)))
        network.ping_check()
        wire.check()
        wire.change(up=LinkSpec(delay=0.02, loss=0.01), down=LinkSpec())
        wire.check()
        with pytest.raises(TestbedError, match="from another law of jitter to uniform"):
            wire.change(up=LinkSpec(delay=0.02, jitter=0.01))


@inside_sandbox
def test_drops_are_counted():
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
