"""Runs side by side: what each sandbox is to do, and on which processors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from testbed.cores import usable_cores
from testbed.errors import TestbedError
from testbed.journal import RunEnded
from testbed.order import Turn
from testbed.sweep import Values

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/{}"


class Job(msgspec.Struct, kw_only=True):
    """What one sandbox is told; which runs it does it takes from its stdin, see `take`."""

    session: int
    jobs: int
    """How many work side by side."""
    parts: int
    """Into how many the runs at each point are divided."""
    processors: list[int]
    """Those that this one has to itself."""


def require_processors(jobs: int) -> None:
    """Raise TestbedError unless each job can have a processor to itself."""
    usable = usable_cores()
    if not 1 <= jobs <= usable:
        raise TestbedError(
            f"--jobs: it is {jobs}; each job has processors to itself, of which there are "
            f"{usable} here, so it must be 1 to {usable}"
        )


def shares(jobs: int) -> list[list[int]]:
    """As many processors to each job; those of one core stay together where that is possible."""
    usable = sorted(os.sched_getaffinity(0), key=_core)
    size = len(usable) // jobs
    if jobs == 1:
        return [usable]
    return [usable[n * size : (n + 1) * size] for n in range(jobs)]


def _core(processor: int) -> tuple[int, int, int]:
    """Orders processors by socket and core."""
    try:
        package, core = (
            int(Path(_TOPOLOGY.format(processor, name)).read_text())
            for name in ("physical_package_id", "core_id")
        )
    except (OSError, ValueError):
        package = core = 0  # this machine does not tell
    return package, core, processor


def left(
    order: Sequence[Turn], point: Values, ended: Iterable[RunEnded], part: int, parts: int
) -> list[Turn]:
    """The runs of one part of those at a point that have not ended, in their order."""
    done = {run.turn for run in ended if run.point == point}
    return [turn for turn in order[part::parts] if turn not in done]


def pack(pieces: list[tuple[int, int]], parts: int) -> bytes:
    """Pieces of work, each the number of a point and that of a part, as `take` reads them."""
    return b"".join((point * parts + part).to_bytes(4, "big") for point, part in pieces)


def take(descriptor: int, parts: int) -> Iterator[tuple[int, int]]:
    """Piece after piece of a file that all jobs have open together, until none is left.

    They share its position, so that each piece is taken once, by whoever is free first.
    """
    while piece := os.read(descriptor, 4):
        yield divmod(int.from_bytes(piece, "big"), parts)
