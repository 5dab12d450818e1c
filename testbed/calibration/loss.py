"""Impairments of single packets: loss and its bursts, and all others by how they show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
from testbed.links.impairments.base import Impairment, Sign, impairments
from testbed.links.impairments.loss import Loss
from testbed.links.loss_trace import LossTrace
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

PACKETS = 20_000
RUN_P = 0.01
"""The p-value below which the lengths of loss runs do not fit their distribution."""

_EVERY = 0.4e-3  # seconds between packets
_DELAY = 10e-3  # seconds; packets that pass others show by having less of it


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
    """Check every impairment of the link but loss; report those that packets do not show."""
    checks: list[Check] = []
    every = {direction: dict(bench.spec(direction).impairments()) for direction in DIRECTIONS}
    for kind in impairments():
        requested = {
            direction: values[kind] for direction, values in every.items() if kind in values
        }
        if requested and kind is not Loss:
            checks += _measure(bench, kind, requested)
    return checks


def _measure(bench: LinkBench, kind: type[Impairment], requested: dict[str, Any]) -> list[Check]:
    """Check an impairment in the directions that have it, given with their values."""
    if kind.seen_as is None:
        why = "it declares no sign (seen_as) by which packets show that it struck them"
        return [bench.not_measured(direction, kind.key, "share", why) for direction in requested]
    before = dict(bench.inversions)
    bench.put(partial(_only, kind))
    trains = bench.send(PACKETS, _EVERY, SMALL)
    bench.inversions = before  # reordering is on purpose here, or judged here
    struck = {direction: _COUNTS[kind.seen_as](trains[direction]) for direction in requested}
    return [
        _share(bench, direction, kind.key, as_chain(value), struck[direction])
        for direction, value in requested.items()
    ]


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


def _only(kind: type[Impairment], spec: LinkSpec) -> LinkSpec:
    """Return a spec with one of the link's impairments, and a delay without which none is early."""
    return LinkSpec(delay=_DELAY, mtu=spec.mtu, **{kind.key: getattr(spec, kind.key)})


_COUNTS: dict[Sign, Callable[[ProbeTrain], int]] = {
    "missing": lambda train: int(train.lost.sum()),
    "copied": lambda train: len(train.numbers) - len(set(train.numbers)),
    "early": lambda train: int(np.sum(train.delays < _DELAY / 2)),
}
"""The number of packets of a train that show a sign."""
