"""Dilated time on real wires: links, schedules, handovers and TCP are slower by its factor."""

import re
import time

import pytest
import yaml

from testbed import clock
from testbed.audit.packet_logs import read_packets
from testbed.calibration.preflight import check_links
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.netem import probe_netem
from testbed.emulation.network import Network
from testbed.links.handovers import Handover
from testbed.links.schedule import Moment, Schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology
from tests.emulation.inside import Path, connection, inside_sandbox, symmetric
from tests.support.whole_run import only_busy, results, run, write

FACTOR = 4.0


@pytest.fixture(autouse=True)
def dilated():
    """Set the dilation of this process's clock, as an experiment does."""
    clock.set_dilation(FACTOR)
    yield
    clock.set_dilation(1.0)


@pytest.fixture(params=["relay", "netem"])
def backend(request):
    """Yield the relay, and netem where the kernel has it."""
    if request.param == "relay" or probe_netem().available:
        return request.param
    if guest_missing():
        pytest.skip("no netem here")
    return "guest netem"


@inside_sandbox
def test_a_link_is_so_many_times_as_slow_and_keeps_its_schedule_in_emulated_time(backend, tmp_path):
    spec = LinkSpec(rate=8e6, delay=0.02)
    later = LinkSpec(rate=8e6, delay=0.05)
    schedule = Schedule((Moment(0.1, later, later),))
    duplex = Duplex(spec, spec)
    network = Network(
        load_topology("edge"), {"radio": duplex}, backend, 1, schedules={"radio": schedule}
    )
    with network:
        (delay, *_) = check_links(network)  # raises unless the slowed link does what was asked
        assert delay.requested == pytest.approx(0.02 + 142 * 8 / 8e6)
        wire = network.wires["radio"]
        assert wire.duplex == duplex
        wire.restart(0, tmp_path if backend == "relay" else None)
        began = clock.now()
        wire.begin(began)
        with Path(network, "device", "base_station") as path:
            sent = time.monotonic()
            path.send(0)
            ((_, arrived),) = path.receive_timed(most=1)
            ideal = 0.02 + path.FRAME * 8 / 8e6
            assert FACTOR * ideal - 1e-3 < arrived - sent < FACTOR * ideal + 15e-3
            time.sleep(FACTOR * 0.15 - (time.monotonic() - sent))
            sent = time.monotonic()
            path.send(1)
            ((_, arrived),) = path.receive_timed(most=1)
            assert FACTOR * (ideal + 0.03) - 1e-3 < arrived - sent < FACTOR * (ideal + 0.03) + 15e-3
        (change,) = wire.applied()
        assert change.scheduled == pytest.approx(began + 0.1)
        assert 0 <= change.applied - change.scheduled < 10e-3
        wire.check()
    if backend == "relay":
        header, *lines, _ = read_packets(tmp_path / "packets.radio.up.jsonl.gz")
        assert header.spec == spec.to_mapping()
        first = next(line for line in lines if hasattr(line, "due") and line.due)
        assert (first.due - first.arrived) * 1e-9 == pytest.approx(ideal, abs=1e-6)
        assert abs(header.t * 1e-9 - began) < 1.0  # the clock that events are written by


def rto(network, host) -> list[float]:
    """Return the retransmission time-outs of a host's connections, in real seconds."""
    shown = network.inside(host).run(["ss", "-tin"])
    return [float(found) / 1e3 for found in re.findall(r"\brto:(\d+(?:\.\d+)?)", shown)]


@inside_sandbox
def test_tcp_waits_so_many_times_as_long_on_every_path():
    link = symmetric(delay=0.002)
    links = dict.fromkeys(("radio", "radio_2", "between"), link)
    plan = [Handover(0.05, "radio_2")]
    network = Network(load_topology("handover"), links, "relay", 1, handovers=plan)
    with network:
        near, far = connection(network, "device", "base_station")
        for host in ("device", "base_station"):
            assert all(0.2 * FACTOR <= each < 0.3 * FACTOR for each in rto(network, host))
        began = clock.now()
        network.handovers.begin(began)
        time.sleep(FACTOR * 0.1)
        network.handovers.end()
        (made,) = network.handovers.applied()
        assert made.scheduled == pytest.approx(began + 0.05)
        assert 0 <= made.applied - made.scheduled < 20e-3
        for one, other in ((near, far), (far, near)):
            one.sendall(b"y" * 100)
            other.recv(100)
        again = connection(network, "device", "base_station")
        for host in ("device", "base_station"):
            waits = rto(network, host)
            assert len(waits) == 2
            assert all(0.2 * FACTOR <= each < 0.3 * FACTOR for each in waits)
        for each in (near, far, *again):
            each.close()


@inside_sandbox
def test_without_dilation_tcp_is_left_alone():
    clock.set_dilation(1.0)
    with Network(load_topology("edge"), {"radio": symmetric(delay=0.002)}, "relay", 1) as network:
        near, far = connection(network, "device", "base_station")
        assert all(0.2 <= each < 0.3 for each in rto(network, "device"))
        assert "rto_min" not in network.inside("device").run(["ip", "route"])
        near.close()
        far.close()


@pytest.mark.emulation
def test_a_run_tells_the_same_whatever_its_dilation(tmp_path):
    # Rounds of 170 ms, of which programs take some 3 ms themselves.
    direction = {"rate": "20mbit", "delay": "30ms"}
    pace = {
        "draft": {"per_pass": "20ms", "per_token": "0.2ms"},
        "target": {"per_pass": "50ms", "per_token": "0.5ms"},
    }
    scenario = write(
        tmp_path,
        links={"radio": {"up": direction, "down": direction}},
        compute=pace,
        decoding={"temperature": 1.0, "max_new_tokens": 32},
        backend="relay",
        sweep={"time_dilation": [1, 5]},
    )
    done = run(scenario)
    rows = results(scenario).summary().rows
    assert [row.time_dilation for row in rows] == [1.0, 5.0]
    assert len({row.output_sha256 for row in rows}) == 1
    speeds = [row.tokens_per_second for row in rows]
    # Where other programs keep the models waiting, they do so less in emulated time.
    apart = 0.5 if only_busy(scenario) else 0.03
    assert max(speeds) < (1 + apart) * min(speeds)
    # What the formula says of the asked link and pace, less what programs take themselves.
    for row in rows:
        assert (1 - apart - 0.1) * row.predicted_tokens_per_second < row.tokens_per_second
    assert "5 times as slow" in done.stdout
    resolved = yaml.safe_load((results(scenario).path / "scenario.yaml").read_text())
    assert resolved["links"]["radio"]["up"]["delay"] == "30ms"
