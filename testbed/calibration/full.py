"""The full calibration of a link: each impairment alone, then all of them together.

Each impairment is measured with the others switched off, by changes in place, as a schedule makes
them. The limits can then be as narrow as the measurement allows, and no impairment hides another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from testbed.audit.checks.packet_conservation import discrepancies
from testbed.audit.link_counters import LinkAudit
from testbed.calibration.bursts import measure_bursts
from testbed.calibration.changes import measure_changes
from testbed.calibration.delay import delay_quantiles, measure_delay, measure_noise
from testbed.calibration.link_bench import DIRECTIONS, LinkBench, retry_failed_checks
from testbed.calibration.load import measure_load
from testbed.calibration.loss import measure_loss, measure_others
from testbed.calibration.probes import Floats, ProbeTrain
from testbed.calibration.rate import measure_rate, measure_trace
from testbed.calibration.repeatability import measure_repeats
from testbed.calibration.result import Curves
from testbed.calibration.statistics import run_length_distribution, run_lengths
from testbed.links.gilbert_elliott import as_chain
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.results.link_check import Check

TRACE_SECONDS = 30.0
"""The part of a Mahimahi trace that is replayed, in seconds."""

_POINTS = 400  # of a curve
_TOGETHER = 500  # packets in each direction through all impairments at once
_TOGETHER_EVERY = 2e-3  # seconds

Say = Callable[[str], None]


def calibrate_link(bench: LinkBench, say: Say) -> tuple[list[Check], list[Curves]]:
    """Make every check of a link, both directions; say: called with the name of each step."""
    curves = {direction: Curves(bench.link.name, direction) for direction in DIRECTIONS}
    say("noise")
    checks, noise = measure_noise(bench)
    say("delay and jitter")
    checks += retry_failed_checks(lambda: _delay(bench, noise, curves))
    say("bursts")
    checks += measure_bursts(bench)
    say("rate")
    checks += measure_rate(bench)
    checks += _traces(bench, curves)
    say("loss")
    checks += retry_failed_checks(lambda: _loss(bench, curves))
    checks += retry_failed_checks(lambda: measure_others(bench))
    say("changes")
    changed, trains, steps = measure_changes(bench)
    checks += changed
    for direction, train in trains.items():
        curves[direction].changes = _thinned(train)
        curves[direction].changes_asked = [(time - train.sent[0], delay) for time, delay in steps]
    say("repetition")
    checks += measure_repeats(bench)
    say("load")
    checks += measure_load(bench)
    say("counts")
    checks += _order(bench)
    checks.append(_counts_agree(bench))
    return checks, list(curves.values())


def _delay(bench: LinkBench, noise: dict[str, float], curves: dict[str, Curves]) -> list[Check]:
    checks, trains = measure_delay(bench, noise)
    for direction, train in trains.items():
        curves[direction].delays = _quantiles(train.delays)
        curves[direction].delays_asked = _quantiles(delay_quantiles(bench.spec(direction)))
    return checks


def _loss(bench: LinkBench, curves: dict[str, Curves]) -> list[Check]:
    checks, trains = measure_loss(bench)
    for direction, train in trains.items():
        loss = bench.spec(direction).loss
        lengths = run_lengths(train.lost)
        if isinstance(loss, LossTrace) or as_chain(loss).mean == 0 or not len(lengths):
            continue
        counts = np.bincount(lengths)[1:]
        curves[direction].runs = [float(share) for share in counts / counts.sum()]
        expected = run_length_distribution(as_chain(loss), len(counts))[:-1]
        curves[direction].runs_asked = [float(x) for x in expected]
    return checks


def _traces(bench: LinkBench, curves: dict[str, Curves]) -> list[Check]:
    checks = []
    for direction in DIRECTIONS:
        if isinstance(bench.spec(direction).rate, DeliveryTrace):
            found, requested, measured = measure_trace(bench, direction, TRACE_SECONDS)
            checks += found
            curves[direction].deliveries = measured.tolist()
            curves[direction].deliveries_asked = requested.tolist()
    return checks


def _order(bench: LinkBench) -> list[Check]:
    name = "out of order"
    return [
        bench.judge(direction, name, "packets", measured=float(bench.inversions[direction]),
            requested=0.0, high=0.0, note="in all that was sent",
        )
        for direction in DIRECTIONS
    ]  # fmt: skip


def _counts_agree(bench: LinkBench) -> Check:
    """Send through all impairments at once; check that packet counts agree since the start."""
    bench.put(lambda spec: spec)
    before = dict(bench.inversions)
    bench.send(
        _TOGETHER, _TOGETHER_EVERY, min(bench.payload(direction) for direction in DIRECTIONS)
    )
    bench.inversions = before  # judged by _order; the link may reorder on purpose
    audit = LinkAudit(bench.network, [bench.link], [])
    audit.settle()
    wrong = list(discrepancies(audit.packets()))
    counters = bench.wire.counters()
    packets = counters.up.received_packets + counters.down.received_packets
    return bench.judge(
        "both",
        "unaccounted for",
        "packets",
        measured=float(len(wrong)),
        requested=0.0,
        high=0.0,
        note=wrong[0] if wrong else f"of {packets}, at hosts and wire",
    )


def _quantiles(values: Floats) -> list[float]:
    return [float(x) for x in np.quantile(values, (np.arange(_POINTS) + 0.5) / _POINTS)]


def _thinned(train: ProbeTrain) -> list[tuple[float, float]]:
    sent = np.asarray(train.sent)[train.numbers] - train.sent[0]
    step = max(1, len(sent) // _POINTS)
    return [(float(a), float(b)) for a, b in zip(sent[::step], train.delays[::step], strict=True)]
