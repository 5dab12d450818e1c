"""Impairments that strike some packets: loss and its bursts, copies, bit errors, reordering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import SMALL, ProbeTrain
from testbed.calibration.statistics import (
    loss_interval,
    run_length_p,
    run_lengths,
)
from testbed.links.gilbert_elliott import GilbertElliott, as_chain
from testbed.links.loss_trace import LossTrace
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

PACKETS = 20_000
RUN_P = 0.01
"""The p-value under which the lengths of runs do not go with the law."""

_EVERY = 0.4e-3  # seconds between packets
_REORDERED_DELAY = 10e-3  # seconds: what is not held overtakes


def only_loss(spec: LinkSpec) -> LinkSpec:
    """A link's loss, and nothing else of it."""
    return LinkSpec(loss=spec.loss, mtu=spec.mtu)


def measure_loss(stage: LinkBench) -> tuple[list[Check], dict[str, ProbeTrain]]:
    """The share of packets lost, and the lengths of the runs in which they are."""
    stage.put(only_loss)
    if isinstance(stage.asked.up.loss, LossTrace) or isinstance(stage.asked.down.loss, LossTrace):
        stage.wire.restart(0, None)  # a trace begins with the first packet
    flights = stage.send(PACKETS, _EVERY, SMALL)
    checks = []
    for direction, flight in flights.items():
        loss = stage.spec(direction).loss
        if isinstance(loss, LossTrace):
            checks.append(_traced(stage, direction, loss, flight))
        else:
            checks += _drawn(stage, direction, loss, flight)
    return checks, flights


def measure_others(stage: LinkBench) -> list[Check]:
    """Copies, bit errors and packets out of order, where any are asked for."""
    checks: list[Check] = []
    for name, part, count in _OTHERS:
        asked = {direction: getattr(stage.spec(direction), name) for direction in DIRECTIONS}
        if not any(asked.values()):
            continue
        before = dict(stage.inversions)
        stage.put(part)
        flights = stage.send(PACKETS, _EVERY, SMALL)
        stage.inversions = before  # what is out of order here was asked for, or is judged here
        for direction, flight in flights.items():
            if asked[direction] > 0:
                checks.append(
                    _share(stage, direction, name, as_chain(asked[direction]), count(flight))
                )
    return checks


def _traced(stage: LinkBench, direction: str, trace: LossTrace, flight: ProbeTrain) -> Check:
    wrong = sum(trace.loses(number) != lost for number, lost in enumerate(flight.lost))
    return stage.judge(
        direction,
        "loss, by the trace",
        "packets",
        measured=float(wrong),
        requested=0.0,
        high=0.0,
        note=f"fates other than the trace's, of {len(flight.sent)}",
    )


def _drawn(
    stage: LinkBench, direction: str, loss: float | GilbertElliott, flight: ProbeTrain
) -> list[Check]:
    chain = as_chain(loss)
    lost = flight.lost
    if chain.mean == 0:
        return [
            stage.judge(direction, "loss", "packets", measured=float(lost.sum()), requested=0.0,
                high=0.0,
                note=f"of {len(lost)}",
            )
        ]  # fmt: skip
    checks = [_share(stage, direction, "loss", chain, int(lost.sum()))]
    name = "loss runs, χ² p"
    lengths = run_lengths(lost)
    p = run_length_p(lengths, chain)
    if p is None:
        note = f"{len(lengths)} runs tell nothing of their lengths"
        return [*checks, stage.not_measured(direction, name, "p", note)]
    note = f"{len(lengths)} runs, mean {lengths.mean():.2f} packets"
    return [*checks, stage.judge(direction, name, "p", measured=p, low=RUN_P, note=note)]


def _share(
    stage: LinkBench, direction: str, name: str, chain: GilbertElliott, struck: int
) -> Check:
    """What was asked must lie in the 95 % interval of what was measured."""
    asked, sent = chain.mean, PACKETS
    low, high = loss_interval(struck, sent, chain)
    measured = struck / sent
    return stage.judge(
        direction,
        name,
        "share",
        measured=measured,
        requested=asked,
        low=asked - (high - measured),
        high=asked + (measured - low),
        note=f"{sent} packets, 95 %",
    )


def _copies(flight: ProbeTrain) -> int:
    return len(flight.numbers) - len(set(flight.numbers))


def _damaged(flight: ProbeTrain) -> int:
    """Receivers drop what fails its checksum."""
    return int(flight.lost.sum())


def _early(flight: ProbeTrain) -> int:
    return int(np.sum(flight.delays < _REORDERED_DELAY / 2))


def _only(name: str, **others: Any) -> Callable[[LinkSpec], LinkSpec]:
    return lambda spec: LinkSpec(mtu=spec.mtu, **{name: getattr(spec, name)}, **others)


_OTHERS: list[tuple[str, Callable[[LinkSpec], LinkSpec], Callable[[ProbeTrain], int]]] = [
    ("duplicate", _only("duplicate"), _copies),
    ("corrupt", _only("corrupt"), _damaged),
    ("reorder", _only("reorder", delay=_REORDERED_DELAY), _early),
]
