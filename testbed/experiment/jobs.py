"""Runs side by side: the work and the processors of each worker."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from testbed.errors import TestbedError
from testbed.host.cores import processors, usable_cores
from testbed.results.journal import RunEnded, RunFailed
from testbed.scenario.run_order import RunId
from testbed.scenario.sweep import Values

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/{}"


class Job(msgspec.Struct, kw_only=True):
    """One worker among those side by side; its runs come from its stdin, see `take`."""

    session: int
    jobs: int
    """The number of workers side by side."""
    parts: int
    """The number of parts into which the runs at each point are divided."""
    processors: list[int]
    """The ids of those that only this worker uses; empty where it has none of its own."""


class Piece(NamedTuple):
    """Runs that are done one after the other by one worker."""

    point: int
    part: int
    """Of those into which the runs at the point are divided."""
    failed: bool
    """True: those that failed in an earlier session; False: the others."""


def require_processors(jobs: int) -> None:
    """Raise TestbedError unless each job can have a processor to itself."""
    usable = usable_cores()
    if not 1 <= jobs <= usable:
        raise TestbedError(
            f"--jobs: it is {jobs}; each job has processors to itself, of which there are "
            f"{usable} here, so it must be 1 to {usable}"
        )


def shares(jobs: int) -> list[list[int]]:
    """Divide the processors equally among jobs; those of one core stay together if possible."""
    usable = sorted(processors(), key=_core)
    size = len(usable) // jobs
    if jobs == 1:
        return [usable]
    return [usable[n * size : (n + 1) * size] for n in range(jobs)]


def _core(processor: int) -> tuple[int, int, int]:
    """Return the key that orders processors by socket and core."""
    try:
        package, core = (
            int(Path(_TOPOLOGY.format(processor, name)).read_text())
            for name in ("physical_package_id", "core_id")
        )
    except (OSError, ValueError):
        package = core = 0  # this machine does not report them
    return package, core, processor


def left(
    order: Sequence[RunId],
    point: Values,
    ended: Iterable[RunEnded],
    failed: Iterable[RunFailed],
    *,
    piece: Piece,
    parts: int,
) -> list[RunId]:
    """Return the runs of a piece at a point that have not ended, in their order."""
    done = {run.turn for run in ended if run.point == point}
    again = {run.turn for run in failed if run.point == point}
    return [
        turn
        for turn in order[piece.part :: parts]
        if turn not in done and (turn in again) == piece.failed
    ]


def pack(pieces: list[Piece], parts: int) -> bytes:
    """Encode pieces of work as `take` reads them."""
    return b"".join(
        ((point * parts + part) * 2 + failed).to_bytes(4, "big") for point, part, failed in pieces
    )


def take(descriptor: int, parts: int) -> Iterator[Piece]:
    """Yield piece after piece of a file that all jobs have open together, until none is left.

    They share its position, so that each piece is taken once, by whoever is free first.
    """
    while piece := os.read(descriptor, 4):
        number, failed = divmod(int.from_bytes(piece, "big"), 2)
        yield Piece(*divmod(number, parts), bool(failed))
