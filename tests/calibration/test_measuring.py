"""Measuring real links: good ones pass, and each fault of a link fails the check for it."""

import time

import pytest
from msgspec.structs import replace

from testbed.audit.measured_links import severity
from testbed.calibration.bursts import measure_bursts
from testbed.calibration.changes import measure_changes
from testbed.calibration.delay import measure_delay
from testbed.calibration.link_bench import LinkBench, retry_failed_checks
from testbed.calibration.loss import measure_loss, measure_others
from testbed.calibration.preflight import check_link
from testbed.calibration.rate import measure_rate
from testbed.calibration.repeatability import measure_repeats
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.host.realtime import realtime_priority
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.spec import Duplex, LinkSpec
from testbed.topology.declarations import load_topology
from tests.emulation.inside import inside_sandbox

NOISE = {"up": 1e-4, "down": 1e-4}


class Crooked(LinkBench):
    """A bench that sets its link to another spec than the one that it measures against."""

    def __init__(self, network, **wrong):
        super().__init__(network, network.declared[0])
        self.wrong = wrong

    def put(self, part):
        return super().put(lambda spec: self.bend(part(spec)))

    def bend(self, spec):
        given = {name: bend(getattr(spec, name)) for name, bend in self.wrong.items()}
        return replace(spec, **given)


def measure(spec, function, **wrong):
    """Return the names of the failed checks, and the packets out of order by direction."""
    with (
        realtime_priority(),
        Network(load_topology("edge"), {"radio": Duplex(spec, spec)}, "relay", 1) as network,
        Crooked(network, **wrong) as bench,
    ):
        checks = function(bench)
        assert checks
        return {check.name for check in checks if check.outcome == "failed"}, bench.inversions


@inside_sandbox
def test_a_delay_that_is_off_fails():
    spec = LinkSpec(delay=0.02)
    assert measure(spec, lambda bench: measure_delay(bench, NOISE)[0])[0] == set()
    wrong = {"delay": lambda delay: delay + 0.001}
    failed, _ = measure(spec, lambda bench: measure_delay(bench, NOISE)[0], **wrong)
    assert failed == {"delay, median"}


@inside_sandbox
def test_a_trace_with_a_long_gap_is_probed_at_once_and_who_ignores_it_or_is_silent_is_found(
    tmp_path,
):
    path = tmp_path / "t"
    path.write_text("".join(f"{ms}\n" for ms in range(80_000, 90_000, 3)))
    rate = DeliveryTrace.read(path)
    spec = LinkSpec(rate=rate, delay=0.001)
    with Network(load_topology("edge"), {"radio": Duplex(spec, spec)}, "relay", 1) as network:
        link = network.declared[0]
        with realtime_priority(), LinkBench(network, link) as bench:
            began = time.monotonic()
            right = {(each.direction, each.name): each for each in check_link(bench)}
            assert time.monotonic() - began < 20  # and not 80
            assert right["up", "ahead of the trace"].outcome == "ok"
            assert right["down", "ahead of the trace"].outcome == "ok"
            assert right["up", "delay, median"].note == "25 of 25 probes"
            network.wires["radio"].change(up=LinkSpec(delay=0.001))
            wrong = {(each.direction, each.name): each for each in check_link(bench)}
            assert severity(wrong["up", "ahead of the trace"]) == "invalid"
            assert wrong["down", "ahead of the trace"].outcome == "ok"
            network.wires["radio"].change(up=LinkSpec(loss=1.0))
            with pytest.raises(TestbedError, match="link radio is silent up: none of 25 packets"):
                check_link(bench)


@inside_sandbox
def test_jitter_of_another_law_fails():
    spec = LinkSpec(delay=0.01, jitter=Jitter(0.001, "normal"))
    wrong = {"jitter": lambda jitter: Jitter(jitter.spread, "pareto")}
    failed, _ = measure(spec, lambda bench: measure_delay(bench, NOISE)[0], **wrong)
    assert "jitter, KS" in failed


@inside_sandbox
def test_a_rate_that_is_off_fails_in_bursts_and_in_bulk():
    spec = LinkSpec(rate=5e6)
    assert measure(spec, measure_bursts)[0] == set()
    wrong = {"rate": lambda rate: 1.1 * rate}
    assert measure(spec, measure_bursts, **wrong)[0] == {"burst of 6", "burst of 20"}
    assert measure(spec, measure_rate, **wrong)[0] == {"rate, UDP", "rate, TCP"}


@inside_sandbox
def test_loss_that_is_off_fails_by_its_mean_or_by_its_bursts():
    spec = LinkSpec(loss=GilbertElliott.of_bursts(0.1, 3))
    wrong = {"loss": lambda _: GilbertElliott.of_bursts(0.13, 3)}
    assert "loss" in measure(spec, lambda bench: measure_loss(bench)[0], **wrong)[0]
    wrong = {"loss": lambda _: GilbertElliott.of_bursts(0.1, 2)}
    assert "loss runs, χ² p" in measure(spec, lambda bench: measure_loss(bench)[0], **wrong)[0]


@inside_sandbox
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("duplicate", marks=pytest.mark.long),
        "corrupt",
        pytest.param("reorder", marks=pytest.mark.long),
    ],
)
def test_each_other_impairment_strikes_as_often_as_asked(name):
    spec = LinkSpec(delay=0.01, **{name: 0.03})

    def twice(bench):
        return retry_failed_checks(lambda: measure_others(bench))

    assert measure(spec, twice)[0] == set()
    assert measure(spec, twice, **{name: lambda share: 1.5 * share})[0] == {name}


@inside_sandbox
def test_packets_out_of_order_are_counted():
    spec = LinkSpec(delay=0.01)
    wrong = {"reorder": lambda _: 0.05}
    _, inversions = measure(spec, lambda bench: measure_delay(bench, NOISE)[0], **wrong)
    assert min(inversions.values()) > 10


@inside_sandbox
def test_changes_are_seen_by_packets_and_lose_none():
    assert measure(LinkSpec(), lambda bench: measure_changes(bench)[0])[0] == set()


@inside_sandbox
def test_the_same_seed_loses_the_same():
    assert measure(LinkSpec(loss=0.1), measure_repeats)[0] == set()


@inside_sandbox
def test_probes_that_do_not_get_as_far_as_the_wire_are_no_measurement():
    spec = LinkSpec(delay=0.01)
    with (
        Network(load_topology("edge"), {"radio": Duplex(spec, spec)}, "relay", 1) as network,
        LinkBench(network, network.declared[0]) as bench,
    ):
        network.inside("device").run(
            ["tc", "qdisc", "add", "dev", "device-radio", "root", "tbf",
             "rate", "10kbit", "burst", "1600", "latency", "1ms"]
        )  # fmt: skip
        with pytest.raises(TestbedError, match=r"link radio up: .* of 200 probes reached the wire"):
            bench.send(200, 1e-3, 100)
