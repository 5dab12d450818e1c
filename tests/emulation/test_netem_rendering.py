"""LinkSpec -> tc arguments, and the comparison with what tc reads back.

The JSON was printed by tc (iproute2 6.1) on a 6.1 kernel for the arguments beside it.
"""

import errno
import json
import os
import subprocess
from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from testbed import clock
from testbed.emulation import backend, netem_wire
from testbed.emulation.netem import (
    Probe,
    apply_netem,
    netem_arguments,
    netem_limit,
    probe_netem,
    verify_netem,
)
from testbed.emulation.netem_support import refusals
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.measured import MeasuredDelays
from testbed.links.queue import Queue
from testbed.links.schedule import Moment, Schedule
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
        ("delay", LinkSpec(rate=15e6, delay=0.021, jitter=0.002, loss=0.005, queue=20 * 1514)),
        ("delay", LinkSpec(rate=15e6, delay=0.0201, jitter=0.002, loss=0.005, queue=20 * 1514)),
        ("jitter", LinkSpec(rate=15e6, delay=0.02, jitter=0.0021, loss=0.005, queue=20 * 1514)),
        ("jitter", LinkSpec(rate=15e6, delay=0.02, jitter=0, loss=0.005, queue=20 * 1514)),
        ("loss", LinkSpec(rate=15e6, delay=0.02, jitter=0.002, loss=0.0051, queue=20 * 1514)),
        ("loss", LinkSpec(rate=15e6, delay=0.02, jitter=0.002, loss=0, queue=20 * 1514)),
        ("rate", LinkSpec(rate=15.1e6, delay=0.02, jitter=0.002, loss=0.005, queue=20 * 1514)),
        ("rate", LinkSpec(rate=None, delay=0.02, jitter=0.002, loss=0.005, queue=20 * 1514)),
        ("limit", LinkSpec(rate=15e6, delay=0.02, jitter=0.002, loss=0.005, queue=21 * 1514)),
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
        def run(self, *commands):
            raise TestbedError(f"tc refused `{commands[0]}`: No distribution data for pareto")

    spec = LinkSpec(delay=0.02, jitter=Jitter(0.01, "pareto"))
    with pytest.raises(
        TestbedError, match="tc lacks the distribution's table; use `--backend relay`"
    ):
        apply_netem(Tcless(), {"port-b": spec}, "add")


@pytest.fixture
def anywhere(monkeypatch):
    """Return a wire on which no interface is built."""
    monkeypatch.setattr(netem_wire, "apply_netem", lambda *_: None)

    class Anywhere:
        def run(self, argv):
            pass

        def popen(self, _argv, **keywords):
            return subprocess.Popen(["cat"], start_new_session=True, **keywords)

        def counters(self):
            return defaultdict(lambda: SimpleNamespace(rx_packets=0))

    return Anywhere()


def test_whatever_the_thread_dies_of_that_changes_a_link_is_an_error(
    anywhere, monkeypatch, request
):
    wire = netem_wire.NetemWire("radio", anywhere, Duplex(up=LinkSpec(), down=LinkSpec()))
    request.addfinalizer(wire.stop)
    wire.follow(Schedule((Moment(0.0, LinkSpec(delay=0.1), LinkSpec()),)))
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    monkeypatch.setattr(netem_wire, "apply_netem", Mock(side_effect=error))
    wire.begin(clock.now())
    wire._thread.join()
    with pytest.raises(TestbedError, match=r"changes of link radio failed: .* too many files open"):
        wire.check()


def test_a_law_cannot_change_to_uniform_in_place(anywhere, request):
    law = LinkSpec(delay=0.02, jitter=Jitter(0.01, "normal"))
    wire = netem_wire.NetemWire("radio", anywhere, Duplex(up=law, down=LinkSpec()))
    request.addfinalizer(wire.stop)
    uniform = LinkSpec(delay=0.02, jitter=0.01)
    wire.change(down=uniform)
    wire.change(up=replace(law, jitter=Jitter(0.01, "pareto")))
    wire.change(up=LinkSpec(delay=0.02))  # no jitter at all needs no table
    with pytest.raises(
        TestbedError, match=r"link radio: .* to uniform jitter .*; use `--backend relay`"
    ):
        wire.change(up=uniform)
    assert wire.duplex == Duplex(up=LinkSpec(delay=0.02), down=uniform)


def test_a_port_without_netem_names_the_kernel_part_and_the_way_out():
    with pytest.raises(TestbedError, match=r"sch_netem.*--backend relay"):
        verify_netem(LTE, json.loads(NOTHING_JSON), "port-b")


NEITHER = "this kernel has no netem (sch_netem: unknown qdisc), and {}"
RELAY_OR_AUTO = "use `--backend relay` or `--backend auto`"


@pytest.mark.parametrize(
    ("requested", "available", "guest", "chosen"),
    [
        ("auto", True, True, "netem"),
        ("auto", False, True, "guest netem"),
        ("auto", False, False, "relay"),
        ("netem", True, False, "netem"),
        ("netem", False, True, "guest netem"),
        ("relay", True, True, "relay"),
        ("relay", False, False, "relay"),
    ],
)
def test_backend_choice(monkeypatch, requested, available, guest, chosen):
    monkeypatch.setattr(backend, "probe_netem", lambda: Probe(available, "unknown qdisc"))
    found = backend.choose_backend(requested, (), lambda: "" if guest else "it panics")
    assert found.backend == chosen
    taken_over = requested == "auto" and chosen == "relay"
    assert found.reason == (NEITHER.format("it panics") if taken_over else "")


@pytest.mark.parametrize(
    ("advice", "first"), [("", ""), ("`apt install x`", "`apt install x`, or ")]
)
def test_netem_where_there_is_neither_is_refused(monkeypatch, advice, first):
    monkeypatch.setattr(backend, "probe_netem", lambda: Probe(False, "unknown qdisc"))
    monkeypatch.setattr(backend, "guest_advice", lambda: advice)
    with pytest.raises(TestbedError) as caught:
        backend.choose_backend("netem", (), lambda: "it panics")
    assert str(caught.value) == f"{NEITHER.format('it panics')}; {first}{RELAY_OR_AUTO}"


ONLY_THE_RELAY = [
    ("duplicate", LinkSpec(duplicate=0.1)),
    ("corrupt", LinkSpec(corrupt=0.1)),
    ("reorder", LinkSpec(delay=0.1, reorder=0.1)),
    ("queue.discipline", LinkSpec(rate=1e6, queue=Queue(10, "packets", "codel"))),
    ("jitter.correlation", LinkSpec(delay=0.1, jitter=Jitter(0.1, "normal", correlation=0.1))),
    ("jitter.file", LinkSpec(jitter=Jitter(measured=MeasuredDelays("d", (0.1,))))),
    ("loss.trace", LinkSpec(loss=LossTrace("l", (False,)))),
    ("rate", LinkSpec(rate=DeliveryTrace("m", (0.1,)))),
    ("rate", LinkSpec(rate=0.0)),
]


@pytest.mark.parametrize(("key", "spec"), ONLY_THE_RELAY)
def test_what_netem_cannot_do_is_refused_by_name_or_taken_over(key, spec):
    found = refusals({"radio": Duplex(LinkSpec(), spec)}, {})
    assert [reason.split(" ")[:2] for reason in found] == [["links.radio:", key]]
    assert backend.choose_backend("auto", found) == ("relay", f"netem cannot do {found[0]}")
    with pytest.raises(TestbedError, match=f"^netem cannot do links.radio: {key} .*relay"):
        backend.choose_backend("netem", found)


def test_a_handover_and_a_lost_table_are_found_in_schedules():
    law = Duplex(LinkSpec(delay=0.1, jitter=Jitter(0.01, "normal")), LinkSpec())
    uniform = LinkSpec(delay=0.1, jitter=0.01)
    assert refusals({"radio": law}, {}) == []
    schedule = Schedule((Moment(1.0, uniform, LinkSpec(), held=True),))
    handover, table = refusals({"radio": law}, {"radio": schedule})
    assert handover.startswith("links.radio.up: a change to uniform jitter from another")
    assert table.startswith("links.radio: handover")


def test_a_table_that_the_next_run_would_lack_is_found():
    uniform, law = (LinkSpec(delay=0.1, jitter=jitter) for jitter in (0.01, Jitter(0.01, "normal")))
    schedule = Schedule((Moment(1.0, law, LinkSpec()),))
    (found,) = refusals({"radio": Duplex(uniform, LinkSpec())}, {"radio": schedule})
    assert found.startswith("links.radio.up: a change to uniform jitter from another")


def test_an_unknown_backend_lists_the_known_ones():
    for name in ("tbf", "simulated"):  # the second one is no emulator of links
        with pytest.raises(TestbedError, match="there are auto, netem, relay"):
            backend.choose_backend(name)


@pytest.mark.emulation
def test_the_probe_says_why():
    probe = probe_netem()
    assert probe.available or "qdisc" in probe.reason or "permitted" in probe.reason
