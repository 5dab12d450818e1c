"""LinkSpec -> tc arguments, and the comparison with what tc reads back.

The JSON was printed by tc (iproute2 6.1) on a 6.1 kernel for the arguments beside it.
"""

import json
from dataclasses import replace

import pytest

from testbed.emulation import backend, netem_wire
from testbed.emulation.netem import (
    Probe,
    apply_netem,
    netem_arguments,
    netem_limit,
    probe_netem,
    verify_netem,
)
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.spec import Duplex, LinkSpec

TAIL = '"ecn":false,"gap":0},"bytes":0,"packets":0,"drops":0,"overlimits":0,"requeues":0'
TAIL += ',"backlog":0,"qlen":0}]'
HEAD = '[{"kind":"netem","handle":"1:","root":true,"refcnt":2,"options":{'
CELLS = '"packetoverhead":0,"cellsize":0,"celloverhead":0'

LTE = LinkSpec(rate=15e6, delay=0.02, jitter=0.002, loss=0.005, queue=20 * 1514)
LTE_ARGUMENTS = "netem limit 48 delay 20000.000us 2000.000us loss 0.5000000% rate 15000000bit"
LTE_JSON = (
    HEAD + '"limit":48,"delay":{"delay":0.02,"jitter":0.002,"correlation":0},'
    '"loss-random":{"loss":0.005,"correlation":0},"rate":{"rate":1875000,' + CELLS + "}," + TAIL
)
PERFECT_JSON = HEAD + '"limit":1000000,"rate":{"rate":12500000000,' + CELLS + "}," + TAIL
PERFECT_LOSS_JSON = LTE_JSON.replace('"loss-random":{"loss":0.005,"correlation":0},', "")
ODD = LinkSpec(rate=100_000_001, delay=20.5e-6, loss=1)
ODD_JSON = (
    HEAD + '"limit":1653,"delay":{"delay":1.9e-05,"jitter":0,"correlation":0},'
    '"loss-random":{"loss":1,"correlation":0},"rate":{"rate":12500000,' + CELLS + "}," + TAIL
)
SLOW = LinkSpec(rate=12345, delay=1.5, jitter=1e-6, loss=0.000012345)
SLOW_JSON = (
    HEAD + '"limit":46,"delay":{"delay":1.5,"jitter":0,"correlation":0},'
    '"loss-random":{"loss":1.23449e-05,"correlation":0},"rate":{"rate":1543,' + CELLS + "}," + TAIL
)
BURSTS = LinkSpec(rate=15e6, delay=0.02, loss=GilbertElliott.of_bursts(0.01, 3), queue=20 * 1514)
BURSTS_JSON = (
    HEAD + '"limit":45,"delay":{"delay":0.02,"jitter":0,"correlation":0},'
    '"loss-gemodel":{"p":0.003367,"r":0.333333,"1-h":1,"1-k":0},'
    '"rate":{"rate":1875000,' + CELLS + "}," + TAIL
)
NOTHING_JSON = '[{"kind":"noqueue","handle":"0:","root":true,"refcnt":2,"options":{}}]'


@pytest.mark.parametrize(
    ("spec", "arguments"),
    [
        (LTE, LTE_ARGUMENTS),
        (LinkSpec(), "netem limit 1000000 delay 0.000us 0.000us rate 100000000000bit"),
        (
            LinkSpec(rate=1e6, delay=0.0005, loss=1),
            "netem limit 45 delay 500.000us 0.000us loss 100.0000000% rate 1000000bit",
        ),
        (
            LinkSpec(delay=0.02, jitter=Jitter(0.005, "paretonormal")),
            "netem limit 1000000 delay 20000.000us 5000.000us distribution paretonormal "
            "rate 100000000000bit",
        ),
        (
            BURSTS,
            "netem limit 45 delay 20000.000us 0.000us "
            "loss gemodel 0.3367003% 33.3333333% 100.0000000% 0.0000000% rate 15000000bit",
        ),
    ],
)
def test_arguments(spec, arguments):
    assert " ".join(netem_arguments(spec)) == arguments


def test_the_limit_holds_the_pipe_and_the_queue():
    still = LinkSpec(rate=100e6, queue=15140)
    assert netem_limit(still) == 10
    # 100 Mbit/s for 100 ms are 1.25 MB, 826 frames: netem's own limit of 1000 would not do.
    assert netem_limit(LinkSpec(rate=100e6, delay=0.1, queue=15140)) == 836
    long_tail = LinkSpec(rate=100e6, delay=0.06, jitter=Jitter(0.01, "pareto"), queue=15140)
    assert netem_limit(long_tail) == 836


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (LTE, LTE_JSON),
        (LinkSpec(), PERFECT_JSON),
        (ODD, ODD_JSON),
        (SLOW, SLOW_JSON),
        (BURSTS, BURSTS_JSON),
    ],
)
def test_what_real_tc_shows_is_accepted(spec, shown):
    verify_netem(spec, json.loads(shown), "port-b")


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("delay", LinkSpec(15e6, 0.021, 0.002, 0.005, 20 * 1514)),
        ("delay", LinkSpec(15e6, 0.0201, 0.002, 0.005, 20 * 1514)),
        ("jitter", LinkSpec(15e6, 0.02, 0.0021, 0.005, 20 * 1514)),
        ("jitter", LinkSpec(15e6, 0.02, 0, 0.005, 20 * 1514)),
        ("loss", LinkSpec(15e6, 0.02, 0.002, 0.0051, 20 * 1514)),
        ("loss", LinkSpec(15e6, 0.02, 0.002, 0, 20 * 1514)),
        ("rate", LinkSpec(15.1e6, 0.02, 0.002, 0.005, 20 * 1514)),
        ("rate", LinkSpec(None, 0.02, 0.002, 0.005, 20 * 1514)),
        ("limit", LinkSpec(15e6, 0.02, 0.002, 0.005, 21 * 1514)),
    ],
)
def test_each_setting_that_differs_is_named(name, spec):
    with pytest.raises(TestbedError, match=f"netem on port-b has {name} "):
        verify_netem(spec, json.loads(LTE_JSON), "port-b")


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("loss", 0.01),
        ("loss gemodel p", 0),
        ("loss gemodel p", GilbertElliott.of_bursts(0.0101, 3)),
        ("loss gemodel r", GilbertElliott(BURSTS.loss.p, 0.334)),
        ("loss gemodel 1-h", GilbertElliott(BURSTS.loss.p, 1 / 3, 0.9)),
        ("loss gemodel 1-k", GilbertElliott(BURSTS.loss.p, 1 / 3, 1, 0.001)),
    ],
)
def test_each_parameter_of_bursty_loss_that_differs_is_named(name, loss):
    with pytest.raises(TestbedError, match=f"netem on port-b has {name} "):
        verify_netem(replace(BURSTS, loss=loss), json.loads(BURSTS_JSON), "port-b")


def test_bursts_that_netem_does_not_show_are_missed():
    with pytest.raises(TestbedError, match="netem on port-b has loss gemodel p 0"):
        verify_netem(replace(LTE, loss=BURSTS.loss), json.loads(PERFECT_LOSS_JSON), "port-b")


def test_a_law_without_a_table_names_what_is_missing():
    class Tcless:
        name = "wire"

        def run(self, argv):
            raise TestbedError(f"`{' '.join(argv)}` failed: No distribution data for pareto")

    spec = LinkSpec(delay=0.02, jitter=Jitter(0.01, "pareto"))
    with pytest.raises(TestbedError, match="tc lacks the law's table; use `--backend relay`"):
        apply_netem(Tcless(), "port-b", spec, "add")


def test_a_law_cannot_change_to_uniform_in_place(monkeypatch):
    monkeypatch.setattr(netem_wire, "apply_netem", lambda *_: None)

    class Anywhere:
        def run(self, argv):
            pass

    law = LinkSpec(delay=0.02, jitter=Jitter(0.01, "normal"))
    wire = netem_wire.NetemWire("radio", Anywhere(), Duplex(up=law, down=LinkSpec()))
    uniform = LinkSpec(delay=0.02, jitter=0.01)
    wire.change(down=uniform)
    wire.change(up=replace(law, jitter=Jitter(0.01, "pareto")))
    wire.change(up=LinkSpec(delay=0.02))  # no jitter at all needs no table
    with pytest.raises(TestbedError, match=r"link radio: .* to uniform; use `--backend relay`"):
        wire.change(up=uniform)
    assert wire.duplex == Duplex(up=LinkSpec(delay=0.02), down=uniform)


def test_a_port_without_netem_names_the_kernel_part_and_the_way_out():
    with pytest.raises(TestbedError, match=r"sch_netem.*--backend relay"):
        verify_netem(LTE, json.loads(NOTHING_JSON), "port-b")


@pytest.mark.parametrize(
    ("requested", "available", "chosen"),
    [
        ("auto", True, "netem"),
        ("auto", False, "relay"),
        ("netem", True, "netem"),
        ("relay", True, "relay"),
        ("relay", False, "relay"),
    ],
)
def test_backend_choice(monkeypatch, requested, available, chosen):
    monkeypatch.setattr(backend, "probe_netem", lambda: Probe(available, "unknown qdisc"))
    assert backend.choose_backend(requested) == chosen


def test_netem_on_a_kernel_without_it_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "probe_netem", lambda: Probe(False, "unknown qdisc"))
    with pytest.raises(TestbedError, match=r"sch_netem: unknown qdisc.*--backend relay.*auto"):
        backend.choose_backend("netem")


def test_an_unknown_backend_lists_the_known_ones():
    with pytest.raises(TestbedError, match="there are auto, netem, relay"):
        backend.choose_backend("tbf")


@pytest.mark.emulation
def test_the_probe_says_why():
    probe = probe_netem()
    assert probe.available or "qdisc" in probe.reason or "permitted" in probe.reason
