#!/usr/bin/env python3
"""Measures how many packets a second links carry in virtual time, without TCP.

    python scripts/bench/virtual_links.py

On an otherwise idle machine; takes some seconds. Full frames come at the rate of the link. Beside
each figure is that of the link's pipeline alone, without events, hosts and routes: no network
around it can be faster. Exits with 1 when a limit is not met.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import simpy
from limits import BenchResult, command

from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.queue import FULL_FRAME
from testbed.links.spec import Duplex, LinkSpec
from testbed.simulation.frame import Frame
from testbed.simulation.network import VirtualNetwork
from testbed.topology.declarations import load_topology

RATE = 50e6
PACKETS = 50_000
TRIES = 3
MOST = 15.0
"""Microseconds per packet and link."""
SPECS = {
    "rate and delay": LinkSpec(rate=RATE, delay=0.01),
    "and loss": LinkSpec(rate=RATE, delay=0.01, loss=0.01),
    "and jitter": LinkSpec(rate=RATE, delay=0.01, jitter=0.005),
}


class Full(NamedTuple):
    """A segment in a full frame."""

    frame_size: int = FULL_FRAME


def bench_links() -> Iterator[BenchResult]:
    """Time one link, and the link that the devices of a cell share."""
    for name, spec in SPECS.items():
        alone = best(lambda spec=spec: through_pipeline(spec))
        for topology, devices in (("edge", 1), ("cell", 8)):
            taken = best(lambda spec=spec, t=topology, d=devices: through_network(t, d, spec))
            yield BenchResult(
                f"{topology}, {name}", taken * 1e6, MOST, "µs/packet",
                f"{1 / taken:,.0f} packets/s; the pipeline alone takes {alone * 1e6:.1f} µs",
            )  # fmt: skip


def best(measure: Callable[[], float]) -> float:
    """Return the shortest of some tries; anything else only adds to it."""
    return min(measure() for _ in range(TRIES))


def through_pipeline(spec: LinkSpec) -> float:
    """Return seconds per packet, asked for each departure when it is due."""
    pipeline, frame = Pipeline(spec, RandomKey(1, "radio", "up")), bytes(FULL_FRAME)
    began = time.perf_counter()
    for number in range(PACKETS):
        now = number * FULL_FRAME * 8 / RATE
        while (event := pipeline.next_event()) is not None and event <= now:
            while pipeline.leave(event) is not None:
                pass
        pipeline.arrive(now, frame)
    return (time.perf_counter() - began) / PACKETS


def through_network(topology: str, devices: int, spec: LinkSpec) -> float:
    """Return seconds per packet that crosses the shaped link, from host to host."""
    env = simpy.Environment()
    network = VirtualNetwork(
        env, load_topology(topology, devices), {"radio": Duplex(spec, LinkSpec())}, seed=1
    )
    network.reset()
    names = ["device"] if devices == 1 else [f"device{k}" for k in range(1, devices + 1)]
    to = network.address("base_station")
    flows = [(name, network.source(name, to).packed, network.open()) for name in names]
    for _, _, connection in flows:
        network.receive("base_station", connection, lambda segment: None)

    def send(event: simpy.Event) -> None:
        number = event.value
        name, source, connection = flows[number % devices]
        network.send(name, Frame.of(source, to.packed, connection, Full()))
        if number + 1 < PACKETS:
            timeout = env.timeout(FULL_FRAME * 8 / RATE, number + 1)
            timeout.callbacks.append(send)

    env.timeout(0.0, 0).callbacks.append(send)
    began = time.perf_counter()
    env.run()
    taken = time.perf_counter() - began
    counts = network.links["radio"].up.counts
    assert counts.received_packets == PACKETS
    assert counts.forwarded_packets + counts.dropped.total() == PACKETS
    return taken / PACKETS


if __name__ == "__main__":
    command(__doc__, {"links": bench_links})
