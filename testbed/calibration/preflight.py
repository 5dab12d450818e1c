"""The short calibration before every scenario: a second or two, on the links as they will be used.

Nothing is switched off for it, so that jitter only bounds what it measures; `whole` is sharper.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from testbed.audit.checks.link_mismatch import LinkMismatch
from testbed.audit.evidence import NetworkEvidence
from testbed.calibration.bursts import burst_times
from testbed.calibration.course import Course
from testbed.calibration.link_bench import DIRECTIONS, LinkBench, retry_failed_checks
from testbed.calibration.probes import HEADERS, SMALL, ProbeTrain
from testbed.calibration.sending import LONGEST, Probe, probes_needed, send_probes
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
    """Measure every link, both directions; what fails, once more: a moment's load may have done it.

    Raises TestbedError naming a link that is silent, or does something else than was asked.
    """
    checks: list[Check] = []
    with realtime_priority():
        for link in network.declared:
            with LinkBench(network, link) as stage, _as_runs_begin(stage):
                checks += retry_failed_checks(partial(check_link, stage))
    for reason in LinkMismatch().judge(NetworkEvidence(checks)):
        raise TestbedError(reason)
    return checks


@contextmanager
def _as_runs_begin(stage: LinkBench) -> Iterator[None]:
    """Let a link do what it does at the beginning of a run, when first it lets packets pass."""
    before = stage.asked
    opening = stage.network.schedule(stage.link.name).opening(before)
    if opening == before:
        yield
        return
    stage.wire.change(up=opening.up, down=opening.down)
    stage.asked = opening
    yield
    stage.wire.change(up=before.up, down=before.down)
    stage.asked = before


def check_link(stage: LinkBench) -> list[Check]:
    """Delay, bursts and order of one link."""
    needed = {direction: probes_needed(stage.spec(direction)) for direction in DIRECTIONS}
    checks = []
    for direction, probe in send_probes(stage, needed).items():
        checks.append(_delay(stage, direction, probe))
        if probe.course is not None:
            checks.append(_ahead(stage, direction, probe.flight, probe.course))
        checks.append(_burst(stage, direction))
        if not stage.spec(direction).reorders:
            checks.append(
                stage.judge(
                    direction,
                    "out of order",
                    "packets",
                    requested=0.0,
                    high=0.0,
                    measured=float(stage.inversions[direction]),
                )
            )
    note = "it loses so much that silence proves nothing"
    return checks + [
        stage.not_measured(direction, "delay, median", "s", note)
        for direction in DIRECTIONS
        if needed[direction] is None
    ]


def _delay(stage: LinkBench, direction: str, probe: Probe) -> Check:
    flight = probe.flight
    if not flight.numbers:
        raise TestbedError(
            f"link {stage.link.name} is silent {direction}: none of {len(flight.sent)} packets "
            "arrived"
        )
    low, high = _bounds(stage.spec(direction), (SMALL + HEADERS) * 8)
    if probe.course is not None:
        sent = np.asarray(flight.sent)
        low, high = (float(np.median((each - sent)[flight.numbers])) for each in probe.course)
    margin = tolerance(high)
    return stage.judge(
        direction,
        "delay, median",
        "s",
        low=low - margin,
        high=high + margin,
        requested=low if low == high else None,
        measured=statistics.median(flight.delays.tolist()),
        note=f"{len(flight.numbers)} of {len(flight.sent)} probes",
    )


def _ahead(stage: LinkBench, direction: str, flight: ProbeTrain, course: Course) -> Check:
    """Probes that arrived before their deliveries, which nothing excuses."""
    due = course.earliest[flight.numbers]
    return stage.judge(
        direction,
        "ahead of the trace",
        "packets",
        requested=0.0,
        high=0.0,
        measured=float(np.sum(np.asarray(flight.times) < due - tolerance(0))),
        note=f"of {len(flight.numbers)}",
    )


def _burst(stage: LinkBench, direction: str) -> Check:
    spec, payload = stage.spec(direction), stage.payload(direction)
    name = "burst"
    if not isinstance(spec.rate, float | int):
        note = "the rate is not limited" if spec.rate is None else "it follows a trace"
        return stage.not_measured(direction, name, "s", note)
    bits = (payload + HEADERS) * 8
    room = int(as_queue(spec.queue).full_frames(spec.rate))
    size = max(1, min(_BURST, room, int(_LONGEST_BURST * spec.rate / bits)))
    low, high = _bounds(spec, size * bits)
    wanted, most = (max(1, min(each, int(LONGEST / high))) for each in (_BURSTS, _TRIES))
    taken = burst_times(stage.paths[direction], size, payload, high, wanted=wanted, most=most)
    if not taken:
        return stage.not_measured(direction, name, "s", f"each of {most} lost a packet")
    ideal = size * bits / spec.rate
    margin = burst_tolerance(ideal) + tolerance(high - ideal) - tolerance(0)
    return stage.judge(
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
    """The least and the most seconds that a link may take for so many bits."""
    sending = bits / spec.rate if isinstance(spec.rate, float | int) else 0.0
    if as_jitter(spec.jitter).none:
        return sending + spec.delay, sending + spec.delay
    return sending + spec.shortest_hold, sending + spec.longest_hold
