"""Repeatability: the same seed must lose the same packets."""

from __future__ import annotations

import numpy as np

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import SMALL
from testbed.emulation.relay_wire import RelayWire
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

_PACKETS = 2000
_EVERY = 0.5e-3  # seconds
_LOSS = 0.05  # for links without loss of their own


def measure_repeats(bench: LinkBench) -> list[Check]:
    """Send two trains, each after a restart, and count the packets that only one of them lost."""
    name = "repeatability"
    if not isinstance(bench.wire, RelayWire):
        why = "netem has no seed here"
        return [bench.not_measured(direction, name, "packets", why) for direction in DIRECTIONS]
    bench.put(lambda spec: LinkSpec(loss=spec.loss or _LOSS, mtu=spec.mtu))
    lost = []
    for _ in range(2):
        bench.wire.restart(0, None)
        trains = bench.send(_PACKETS, _EVERY, SMALL)
        lost.append({direction: train.lost for direction, train in trains.items()})
    return [
        bench.judge(direction, name, "packets",
            measured=float(np.sum(lost[0][direction] != lost[1][direction])), requested=0.0,
            high=0.0,
            note=f"of {_PACKETS}, {int(lost[0][direction].sum())} of them lost",
        )
        for direction in DIRECTIONS
    ]  # fmt: skip
