"""The whole calibration of a link, impairment by impairment, then all of them together.

Each impairment is measured with the others switched off, in place, as a schedule would. So a limit
is as narrow as the measurement allows, and no impairment hides behind another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from testbed.audit.checks.packet_conservation import discrepancies
from testbed.audit.link_counters import LinkAudit
from testbed.calibration.bursts import measure_bursts
from testbed.calibration.changes import measure_changes
from testbed.calibration.delay import law, measure_delay, measure_noise
from testbed.calibration.link_bench import DIRECTIONS, LinkBench, retry_failed_checks
from testbed.calibration.load import measure_load
from testbed.calibration.loss import measure_loss, measure_others
from testbed.calibration.probes import Floats, ProbeTrain
from testbed.calibration.rate import measure_rate, measure_trace
from testbed.calibration.repeatability import measure_repeats
from testbed.calibration.result import Curves
from testbed.calibration.statistics import run_law, run_lengths
from testbed.links.gilbert_elliott import as_chain
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.results.link_check import Check

TRACE_SECONDS = 30.0
"""How much of a Mahimahi trace is replayed."""

_POINTS = 400  # of a curve
_TOGETHER = 500  # packets each way through all impairments at once
_TOGETHER_EVERY = 2e-3  # seconds

Say = Callable[[str], None]


def calibrate_link(stage: LinkBench, say: Say) -> tuple[list[Check], list[Curves]]:
    """Every check of one link, both directions; `say` is told what comes next."""
    curves = {direction: Curves(stage.link.name, direction) for direction in DIRECTIONS}
    say("noise")
    checks, noise = measure_noise(stage)
    say("delay and jitter")
    checks += retry_failed_checks(lambda: _delay(stage, noise, curves))
    say("bursts")
    checks += measure_bursts(stage)
    say("rate")
    checks += measure_rate(stage)
    checks += _traces(stage, curves)
    say("loss")
    checks += retry_failed_checks(lambda: _loss(stage, curves))
    checks += retry_failed_checks(lambda: measure_others(stage))
    say("changes")
    changed, flights, steps = measure_changes(stage)
    checks += changed
    for direction, flight in flights.items():
        curves[direction].changes = _thinned(flight)
        curves[direction].changes_asked = [(time - flight.sent[0], delay) for time, delay in steps]
    say("repetition")
    checks += measure_repeats(stage)
    say("load")
    checks += measure_load(stage)
    say("books")
    checks += _order(stage)
    checks.append(_books(stage))
    return checks, list(curves.values())


def _delay(stage: LinkBench, noise: dict[str, float], curves: dict[str, Curves]) -> list[Check]:
    checks, flights = measure_delay(stage, noise)
    for direction, flight in flights.items():
        curves[direction].delays = _quantiles(flight.delays)
        curves[direction].delays_asked = _quantiles(law(stage.spec(direction)))
    return checks


def _loss(stage: LinkBench, curves: dict[str, Curves]) -> list[Check]:
    checks, flights = measure_loss(stage)
    for direction, flight in flights.items():
        loss = stage.spec(direction).loss
        lengths = run_lengths(flight.lost)
        if isinstance(loss, LossTrace) or as_chain(loss).mean == 0 or not len(lengths):
            continue
        counts = np.bincount(lengths)[1:]
        curves[direction].runs = [float(share) for share in counts / counts.sum()]
        curves[direction].runs_asked = [float(x) for x in run_law(as_chain(loss), len(counts))[:-1]]
    return checks


def _traces(stage: LinkBench, curves: dict[str, Curves]) -> list[Check]:
    checks = []
    for direction in DIRECTIONS:
        if isinstance(stage.spec(direction).rate, DeliveryTrace):
            found, asked, measured = measure_trace(stage, direction, TRACE_SECONDS)
            checks += found
            curves[direction].deliveries = measured.tolist()
            curves[direction].deliveries_asked = asked.tolist()
    return checks


def _order(stage: LinkBench) -> list[Check]:
    name = "out of order"
    return [
        stage.judge(direction, name, "packets", measured=float(stage.inversions[direction]),
            requested=0.0, high=0.0, note="in all that was sent",
        )
        for direction in DIRECTIONS
    ]  # fmt: skip


def _books(stage: LinkBench) -> Check:
    """Traffic under all impairments at once; then sent = received + dropped, since the start."""
    stage.put(lambda spec: spec)
    before = dict(stage.inversions)
    stage.send(
        _TOGETHER, _TOGETHER_EVERY, min(stage.payload(direction) for direction in DIRECTIONS)
    )
    stage.inversions = before  # judged above, and reordering may be asked for
    accountant = LinkAudit(stage.network, [stage.link], [])
    accountant.settle()
    wrong = list(discrepancies(accountant.packets()))
    counters = stage.wire.counters()
    packets = counters.up.received_packets + counters.down.received_packets
    return stage.judge(
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


def _thinned(flight: ProbeTrain) -> list[tuple[float, float]]:
    sent = np.asarray(flight.sent)[flight.numbers] - flight.sent[0]
    step = max(1, len(sent) // _POINTS)
    return [(float(a), float(b)) for a, b in zip(sent[::step], flight.delays[::step], strict=True)]
