"""All impairments together: the exact departures of fixed packets."""

import hashlib
import math
from collections import Counter

import pytest

from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.queue import Queue
from testbed.links.spec import LinkSpec

COMMON = {"rate": 4.5e6, "delay": 0.02, "duplicate": 0.05, "corrupt": 0.1, "reorder": 0.04}
BURSTS = LinkSpec(
    jitter=Jitter(0.004, "paretonormal", correlation=0.3),
    loss=GilbertElliott(0.02, 0.3, 0.9, 0.01),
    queue=Queue(20, "packets", "codel"),
    mtu=1400,
    **COMMON,
)
SINGLE = LinkSpec(jitter=0.005, loss=0.03, queue=Queue(0.03, "seconds", "round_robin"), **COMMON)
PLAIN = LinkSpec(rate=8e6, delay=0.01, jitter=0.002)


def size(number):
    return 60 + number * 7919 % 1455  # of a frame; some exceed the smaller MTU


@pytest.mark.parametrize(
    ("specs", "departures"),
    [
        ([BURSTS], "166ffe227418a1bc"),
        ([SINGLE], "08f235f248fb62fd"),
        ([SINGLE, BURSTS, PLAIN, SINGLE], "0295ea4cd7fabd8b"),
    ],
)
def test_the_same_packets_are_lost_changed_copied_and_held_as_ever(specs, departures):
    dropped = []
    line = Pipeline(specs[0], RandomKey(7, "radio", "up"), lambda *drop: dropped.append(drop))
    found = hashlib.blake2b(digest_size=8)
    count = 3000
    for number in range(count):
        now = number * 0.00125
        if number % (count // len(specs)) == 0:
            line.change(now, specs[number * len(specs) // count])
        line.arrive(now, number.to_bytes(4, "big") * (size(number) // 4))
        while (departure := line.leave(now if number < count - 1 else math.inf)) is not None:
            due, packet = departure
            found.update(repr((due, packet.number, packet.frame)).encode())
    for packet, reason in dropped:
        found.update(f"{packet.number} {reason}".encode())
    assert line.counts.dropped == Counter(reason for _, reason in dropped)
    assert found.hexdigest() == departures
