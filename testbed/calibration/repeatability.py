"""Does the same seed lose the same packets?"""

from __future__ import annotations

import numpy as np

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import SMALL
from testbed.emulation.relay_wire import RelayWire
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

_PACKETS = 2000
_EVERY = 0.5e-3  # seconds
_LOSS = 0.05  # for links that lose nothing themselves


def measure_repeats(stage: LinkBench) -> list[Check]:
    """Two flights, each after a restart: packets whose fates differ."""
    name = "repeatability"
    if not isinstance(stage.wire, RelayWire):
        why = "netem has no seed here"
        return [stage.not_measured(direction, name, "packets", why) for direction in DIRECTIONS]
    stage.put(lambda spec: LinkSpec(loss=spec.loss or _LOSS, mtu=spec.mtu))
    lost = []
    for _ in range(2):
        stage.wire.restart(0, None)
        flights = stage.send(_PACKETS, _EVERY, SMALL)
        lost.append({direction: flight.lost for direction, flight in flights.items()})
    return [
        stage.judge(direction, name, "packets",
            measured=float(np.sum(lost[0][direction] != lost[1][direction])), requested=0.0,
            high=0.0,
            note=f"of {_PACKETS}, {int(lost[0][direction].sum())} of them lost",
        )
        for direction in DIRECTIONS
    ]  # fmt: skip
