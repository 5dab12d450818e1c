"""Slowed links: packets leave or are dropped as on the link itself, only later."""

from __future__ import annotations

import pytest

from testbed.emulation.netem import netem_arguments, netem_limit
from testbed.links.dilation import slowed
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.queue import Queue
from testbed.links.spec import LinkSpec

KEY = RandomKey(1, "radio", "up")


@pytest.fixture
def files(tmp_path):
    """Return specs whose rate or jitter is in files."""
    mahimahi, delays = tmp_path / "a.trace", tmp_path / "delays.txt"
    mahimahi.write_text("1\n4\n4\n20\n21\n30\n")
    delays.write_text("1\n2\n7.5\n")
    return [
        LinkSpec.parse({"rate": {"mahimahi": str(mahimahi)}, "delay": "3ms"}, ""),
        LinkSpec.parse({"rate": "2mbit", "jitter": {"file": str(delays)}}, ""),
    ]


def fates(spec, factor):
    """Return departures (divided by `factor`) and drops of packets that come `factor` as late."""
    dropped = {}
    pipeline = Pipeline(spec, KEY, lambda packet, why: dropped.update({packet.number: why}))
    left = {}

    def leave(now):
        while (departure := pipeline.leave(now)) is not None:
            left[departure.packet.number] = departure.due / factor

    for number in range(60):
        now = factor * (0.002 * (number // 3) + 1e-4 * (number % 3))
        leave(now)
        pipeline.arrive(now, bytes(400 + 17 * number))
    leave(factor * 1e3)
    return left, dropped


SPECS = [
    LinkSpec(rate=2e6, delay=0.02, jitter=0.003, loss=0.1, queue=5_000),
    LinkSpec(rate=1e6, jitter=Jitter(0.004, "pareto", correlation=0.5), delay=0.01),
    LinkSpec(rate=1e6, loss=GilbertElliott(0.1, 0.3), queue=Queue(0.02, "seconds")),
    LinkSpec(rate=1e6, queue=Queue(9_000, "bytes", "codel", 3e-3, 8e-3)),
    LinkSpec(rate=1e6, queue=Queue(5, "packets", "round_robin"), duplicate=0.2),
    LinkSpec(delay=0.01, reorder=0.3),
]


@pytest.mark.parametrize("number", range(len(SPECS) + 2))
def test_every_packet_fares_alike_and_takes_so_many_times_as_long(number, files):
    spec = (SPECS + files)[number]
    left, dropped = fates(spec, 1)
    slow_left, slow_dropped = fates(slowed(spec, 8.0), 8)
    assert slow_dropped == dropped
    assert slow_left == pytest.approx(left)
    assert left


def test_dropping_and_waiting_were_among_the_fates(files):
    assert all(fates(spec, 1)[1] for spec in (SPECS[0], SPECS[2], SPECS[3], SPECS[4]))


def test_without_dilation_a_link_is_itself():
    assert slowed(SPECS[0], 1.0) is SPECS[0]


def test_the_kernel_is_asked_for_a_slower_link_that_holds_as_much():
    spec = LinkSpec(rate=10e6, delay=0.02, jitter=0.004, loss=0.01)
    slow = slowed(spec, 4.0)
    assert netem_limit(slow) == netem_limit(spec)
    words = " ".join(netem_arguments(slow))
    assert "delay 80000.000us 16000.000us" in words
    assert "rate 2500000bit" in words
    assert "loss 1.0000000%" in words
