"""Impairments of single packets: loss and its bursts, duplicates, bit errors, reordering."""

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
"""The p-value below which the lengths of loss runs do not fit their distribution."""

_EVERY = 0.4e-3  # seconds between packets
_REORDERED_DELAY = 10e-3  # seconds; a reordered packet is not delayed, and overtakes


def only_loss(spec: LinkSpec) -> LinkSpec:
    """Return a spec with the link's loss alone."""
    return LinkSpec(loss=spec.loss, mtu=spec.mtu)


def measure_loss(bench: LinkBench) -> tuple[list[Check], dict[str, ProbeTrain]]:
    """Check the share of lost packets and the lengths of their runs; return the trains, too."""
    bench.put(only_loss)
    requested = bench.requested
    if any(isinstance(spec.loss, LossTrace) for spec in (requested.up, requested.down)):
        bench.wire.restart(0, None)  # a trace begins with the first packet
    trains = bench.send(PACKETS, _EVERY, SMALL)
    checks = []
    for direction, train in trains.items():
        loss = bench.spec(direction).loss
        if isinstance(loss, LossTrace):
            checks.append(_traced(bench, direction, loss, train))
        else:
            checks += _drawn(bench, direction, loss, train)
    return checks, trains


def measure_others(bench: LinkBench) -> list[Check]:
    """Check duplicates, bit errors and reordering of links that have them."""
    checks: list[Check] = []
    for name, part, count in _OTHERS:
        requested = {direction: getattr(bench.spec(direction), name) for direction in DIRECTIONS}
        if not any(requested.values()):
            continue
        before = dict(bench.inversions)
        bench.put(part)
        trains = bench.send(PACKETS, _EVERY, SMALL)
        bench.inversions = before  # reordering is on purpose here, or judged here
        for direction, train in trains.items():
            if requested[direction] > 0:
                checks.append(
                    _share(bench, direction, name, as_chain(requested[direction]), count(train))
                )
    return checks


def _traced(bench: LinkBench, direction: str, trace: LossTrace, train: ProbeTrain) -> Check:
    wrong = sum(trace.loses(number) != lost for number, lost in enumerate(train.lost))
    return bench.judge(
        direction,
        "loss, by the trace",
        "packets",
        measured=float(wrong),
        requested=0.0,
        high=0.0,
        note=f"fates other than the trace's, of {len(train.sent)}",
    )


def _drawn(
    bench: LinkBench, direction: str, loss: float | GilbertElliott, train: ProbeTrain
) -> list[Check]:
    chain = as_chain(loss)
    lost = train.lost
    if chain.mean == 0:
        return [
            bench.judge(direction, "loss", "packets", measured=float(lost.sum()), requested=0.0,
                high=0.0,
                note=f"of {len(lost)}",
            )
        ]  # fmt: skip
    checks = [_share(bench, direction, "loss", chain, int(lost.sum()))]
    name = "loss runs, χ² p"
    lengths = run_lengths(lost)
    p = run_length_p(lengths, chain)
    if p is None:
        note = f"{len(lengths)} runs tell nothing of their lengths"
        return [*checks, bench.not_measured(direction, name, "p", note)]
    note = f"{len(lengths)} runs, mean {lengths.mean():.2f} packets"
    return [*checks, bench.judge(direction, name, "p", measured=p, low=RUN_P, note=note)]


def _share(
    bench: LinkBench, direction: str, name: str, chain: GilbertElliott, struck: int
) -> Check:
    """Check that the requested share lies in the 95 % interval of the measured one."""
    requested, sent = chain.mean, PACKETS
    low, high = loss_interval(struck, sent, chain)
    measured = struck / sent
    return bench.judge(
        direction,
        name,
        "share",
        measured=measured,
        requested=requested,
        low=requested - (high - measured),
        high=requested + (measured - low),
        note=f"{sent} packets, 95 %",
    )


def _copies(train: ProbeTrain) -> int:
    return len(train.numbers) - len(set(train.numbers))


def _damaged(train: ProbeTrain) -> int:
    """Count damaged packets, which are missing: the receiver drops them by their checksum."""
    return int(train.lost.sum())


def _early(train: ProbeTrain) -> int:
    return int(np.sum(train.delays < _REORDERED_DELAY / 2))


def _only(name: str, **others: Any) -> Callable[[LinkSpec], LinkSpec]:
    return lambda spec: LinkSpec(mtu=spec.mtu, **{name: getattr(spec, name)}, **others)


_OTHERS: list[tuple[str, Callable[[LinkSpec], LinkSpec], Callable[[ProbeTrain], int]]] = [
    ("duplicate", _only("duplicate"), _copies),
    ("corrupt", _only("corrupt"), _damaged),
    ("reorder", _only("reorder", delay=_REORDERED_DELAY), _early),
]
