"""The short calibration before every scenario: a second or two, on the links as they will be used.

Nothing is switched off for it, so that jitter only bounds what it measures; `whole` is sharper.
"""

from __future__ import annotations

import statistics
from functools import partial

from testbed.calibration.bursts import burst_times
from testbed.calibration.probes import HEADERS, SMALL, Flight
from testbed.calibration.stage import WAYS, Stage, once_more
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.links.delivery import DeliveryTrace
from testbed.links.gilbert_elliott import as_chain
from testbed.links.jitter import as_jitter
from testbed.links.loss_trace import LossTrace
from testbed.links.queue import as_queue
from testbed.links.spec import LinkSpec
from testbed.punctual import punctually
from testbed.traces.check import Check, burst_tolerance, figure, limits, tolerance
from testbed.traces.verdict import Level

LATE = 5e-3
"""Seconds beyond a limit that a busy machine explains; more, and the link is not what was asked."""

_FEWEST, _MOST = 25, 200  # probes
_EVERY = 5e-3  # seconds; longer on a link so slow that probes would queue behind each other
_FALSE_ALARM = 1e-6  # chance that a live link loses every probe
_BURST = 6  # packets
_BURSTS = 3
_TRIES = 15  # bursts sent, for links that lose some
_LONGEST_BURST = 0.5  # seconds; slower links get fewer packets


def check_links(network: Network) -> list[Check]:
    """Measure every link, both directions; what fails, once more: a moment's load may have done it.

    Raises TestbedError naming a link that is silent, or does something else than was asked.
    """
    checks: list[Check] = []
    with punctually():
        for link in network.declared:
            with Stage(network, link) as stage:
                checks += once_more(partial(check_link, stage))
    for check in checks:
        if severity(check) == "invalid":
            raise TestbedError(why(check))
    return checks


def check_link(stage: Stage) -> list[Check]:
    """Delay, bursts and order of one link."""
    needed = {way: probes_needed(stage.spec(way)) for way in WAYS}
    count = max([_FEWEST, *(each for each in needed.values() if each is not None)])
    gap = max(probe_gap(stage.spec(way)) for way in WAYS)
    flights = stage.send(count, gap, SMALL, all_suffice=True)
    checks = []
    for way in WAYS:
        if needed[way] is None:
            note = "it loses so much that silence proves nothing"
            checks.append(stage.not_measured(way, "delay, median", "s", note))
            continue
        checks.append(_delay(stage, way, flights[way]))
        checks.append(_burst(stage, way))
        if stage.spec(way).reorder == 0:
            checks.append(
                stage.judge(
                    way,
                    "out of order",
                    "packets",
                    requested=0.0,
                    high=0.0,
                    measured=float(stage.inversions[way]),
                )
            )
    return checks


def severity(check: Check) -> Level:
    """What a check does to the verdict of a run."""
    if check.outcome != "failed":
        return "valid"
    assert check.measured is not None
    late = check.unit == "s" and check.high is not None and check.high < check.measured
    return "suspect" if late and check.measured <= (check.high or 0.0) + LATE else "invalid"


def why(check: Check) -> str:
    """What is wrong, in a sentence."""
    explained = " (a busy machine explains so little)" if severity(check) == "suspect" else ""
    return (
        f"link {check.link} {check.way}: {check.name} was {figure(check.measured, check.unit)} "
        f"before the run, where {_asked(check)} was asked{explained}"
    )


def _asked(check: Check) -> str:
    if check.requested is None or check.unit == "packets":
        return limits(check)
    return f"{figure(check.requested, check.unit)} {limits(check)}"


def probes_needed(spec: LinkSpec) -> int | None:
    """How many packets make silence conclusive; None if more than is sensible."""
    if isinstance(spec.loss, LossTrace):
        return None
    chain = as_chain(spec.loss)
    bad, good = 1.0, 0.0  # the chances that all are lost so far and the state is this one
    for count in range(1, _MOST + 1):
        bad_lost = bad * (1 - (1 - chain.bad_loss) * (1 - spec.corrupt))
        good_lost = good * (1 - (1 - chain.good_loss) * (1 - spec.corrupt))
        bad = bad_lost * (1 - chain.r) + good_lost * chain.p
        good = bad_lost * chain.r + good_lost * (1 - chain.p)
        if bad + good <= _FALSE_ALARM * (1 + 1e-9):
            return count
    return None


def probe_gap(spec: LinkSpec) -> float:
    """Seconds between probes: twice what one takes to be sent, at least."""
    if not isinstance(spec.rate, float | int):
        return _EVERY
    return max(_EVERY, 2 * (SMALL + HEADERS) * 8 / spec.rate)


def _delay(stage: Stage, way: str, flight: Flight) -> Check:
    if not flight.numbers:
        raise TestbedError(
            f"link {stage.link.name} is silent {way}: none of {len(flight.sent)} packets arrived"
        )
    spec = stage.spec(way)
    low, high = _bounds(spec, (SMALL + HEADERS) * 8)
    margin = tolerance(high)
    return stage.judge(
        way,
        "delay, median",
        "s",
        low=low - margin,
        high=high + margin,
        requested=low if low == high else None,
        measured=statistics.median(flight.delays.tolist()),
        note=f"{len(flight.numbers)} of {len(flight.sent)} probes",
    )


def _burst(stage: Stage, way: str) -> Check:
    spec, payload = stage.spec(way), stage.payload(way)
    name = "burst"
    if not isinstance(spec.rate, float | int):
        note = "the rate is not limited" if spec.rate is None else "it follows a trace"
        return stage.not_measured(way, name, "s", note)
    bits = (payload + HEADERS) * 8
    room = int(as_queue(spec.queue).full_frames(spec.rate))
    size = max(1, min(_BURST, room, int(_LONGEST_BURST * spec.rate / bits)))
    low, high = _bounds(spec, size * bits)
    taken = burst_times(stage.paths[way], size, payload, high, wanted=_BURSTS, most=_TRIES)
    if not taken:
        return stage.not_measured(way, name, "s", f"each of {_TRIES} lost a packet")
    ideal = size * bits / spec.rate
    margin = burst_tolerance(ideal) + tolerance(high - ideal) - tolerance(0)
    return stage.judge(
        way,
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
    if isinstance(spec.rate, DeliveryTrace):
        return spec.shortest_hold, spec.longest_hold + spec.rate.longest_gap
    sending = bits / spec.rate if spec.rate else 0.0
    if as_jitter(spec.jitter).none:
        return sending + spec.delay, sending + spec.delay
    return sending + spec.shortest_hold, sending + spec.longest_hold
