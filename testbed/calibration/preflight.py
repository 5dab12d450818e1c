"""The short calibration before the first run on a network: a second or two, on the links as used.

No impairment is switched off, so jitter widens the limits; `full` has narrower ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from testbed.audit.checks.link_mismatch import LinkMismatch
from testbed.audit.evidence import NetworkEvidence
from testbed.calibration.arrival_bounds import ArrivalBounds
from testbed.calibration.bursts import burst_times
from testbed.calibration.link_bench import DIRECTIONS, LinkBench, retry_failed_checks
from testbed.calibration.probes import HEADERS, SMALL, ProbeTrain
from testbed.calibration.sending import LONGEST, SentProbes, probes_needed, send_probes
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.host.realtime import realtime_priority
from testbed.links.jitter import as_jitter
from testbed.links.queue import as_queue
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check, burst_tolerance, tolerance

_BURST = 6  # packets
_BURSTS = 3
_TRIES = 15  # bursts sent, for links that lose some
_LONGEST_BURST = 0.5  # seconds; slower links get fewer packets


def check_links(network: Network) -> list[Check]:
    """Measure every link in both directions; measure failed checks twice, as a load may pass.

    Raises TestbedError for a link on which no packet arrives, or with a check that makes a run
    invalid.
    """
    checks: list[Check] = []
    with realtime_priority():
        for link in network.declared:
            with LinkBench(network, link) as bench, _as_runs_begin(bench):
                checks += retry_failed_checks(partial(check_link, bench))
    for reason in LinkMismatch().judge(NetworkEvidence(checks)):
        raise TestbedError(reason)
    return checks


@contextmanager
def _as_runs_begin(bench: LinkBench) -> Iterator[None]:
    """Give a link, for the context, the spec with which a run first lets packets pass."""
    before = bench.requested
    opening = bench.network.schedule(bench.link.name).opening(before)
    if opening == before:
        yield
        return
    bench.wire.change(up=opening.up, down=opening.down)
    bench.requested = opening
    yield
    bench.wire.change(up=before.up, down=before.down)
    bench.requested = before


def check_link(bench: LinkBench) -> list[Check]:
    """Check delay, bursts and order of packets of one link, in both directions."""
    needed = {direction: probes_needed(bench.spec(direction)) for direction in DIRECTIONS}
    checks = []
    for direction, probes in send_probes(bench, needed).items():
        checks.append(_delay(bench, direction, probes))
        if probes.bounds is not None:
            checks.append(_ahead(bench, direction, probes.train, probes.bounds))
        checks.append(_burst(bench, direction))
        if not bench.spec(direction).reorders:
            checks.append(
                bench.judge(
                    direction,
                    "out of order",
                    "packets",
                    requested=0.0,
                    high=0.0,
                    measured=float(bench.inversions[direction]),
                )
            )
    note = "it loses so much that silence proves nothing"
    return checks + [
        bench.not_measured(direction, "delay, median", "s", note)
        for direction in DIRECTIONS
        if needed[direction] is None
    ]


def _delay(bench: LinkBench, direction: str, probes: SentProbes) -> Check:
    train = probes.train
    if not train.numbers:
        raise TestbedError(
            f"link {bench.link.name} is silent {direction}: none of {len(train.sent)} packets "
            "arrived"
        )
    low, high = _bounds(bench.spec(direction), (SMALL + HEADERS) * 8)
    if probes.bounds is not None:
        sent = np.asarray(train.sent)
        low, high = (float(np.median((each - sent)[train.numbers])) for each in probes.bounds)
    margin = tolerance(high)
    return bench.judge(
        direction,
        "delay, median",
        "s",
        low=low - margin,
        high=high + margin,
        requested=low if low == high else None,
        measured=statistics.median(train.delays.tolist()),
        note=f"{len(train.numbers)} of {len(train.sent)} probes",
    )


def _ahead(bench: LinkBench, direction: str, train: ProbeTrain, bounds: ArrivalBounds) -> Check:
    """Count probes that arrived before their deliveries; a busy machine cannot cause that."""
    due = bounds.earliest[train.numbers]
    return bench.judge(
        direction,
        "ahead of the trace",
        "packets",
        requested=0.0,
        high=0.0,
        measured=float(np.sum(np.asarray(train.times) < due - tolerance(0))),
        note=f"of {len(train.numbers)}",
    )


def _burst(bench: LinkBench, direction: str) -> Check:
    spec, payload = bench.spec(direction), bench.payload(direction)
    name = "burst"
    if not isinstance(spec.rate, float | int):
        note = "the rate is not limited" if spec.rate is None else "it follows a trace"
        return bench.not_measured(direction, name, "s", note)
    bits = (payload + HEADERS) * 8
    room = int(as_queue(spec.queue).full_frames(spec.rate))
    size = max(1, min(_BURST, room, int(_LONGEST_BURST * spec.rate / bits)))
    low, high = _bounds(spec, size * bits)
    wanted, most = (max(1, min(each, int(LONGEST / high))) for each in (_BURSTS, _TRIES))
    taken = burst_times(bench.paths[direction], size, payload, high, wanted=wanted, most=most)
    if not taken:
        return bench.not_measured(direction, name, "s", f"each of {most} lost a packet")
    ideal = size * bits / spec.rate
    margin = burst_tolerance(ideal) + tolerance(high - ideal) - tolerance(0)
    return bench.judge(
        direction,
        f"burst of {size}",
        "s",
        low=low - margin,
        high=high + margin,
        requested=low if low == high else None,
        measured=statistics.median(taken),
        note=f"{len(taken)} bursts of {payload} B packets",
    )


def _bounds(spec: LinkSpec, bits: int) -> tuple[float, float]:
    """Return the shortest and the longest time, in seconds, that a link may take for `bits`."""
    sending = bits / spec.rate if isinstance(spec.rate, float | int) else 0.0
    if as_jitter(spec.jitter).none:
        return sending + spec.delay, sending + spec.delay
    return sending + spec.shortest_hold, sending + spec.longest_hold
