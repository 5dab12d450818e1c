"""Processor time of nodes and of everything else on the machine, around generations."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICK = 0.01  # seconds: USER_HZ is 100 on every architecture that Mininet runs on


class Processors:
    """Samples the processors before and after generations."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        """`nodes` are the process ids by name."""
        self._nodes = dict(nodes)
        self.start()

    def start(self) -> None:
        """Take the sample before."""
        self._before = self._sample()
        self._after: CpuSample | None = None

    def stop(self) -> None:
        """Take the sample after."""
        self._after = self._sample()

    def use(self) -> CpuUse:
        """Return the samples of the last `start` and `stop`."""
        assert self._after is not None, "no sample was taken after the generations"
        return CpuUse(self._before, self._after)

    def _sample(self) -> CpuSample:
        processors = os.sched_getaffinity(0)
        busy, stolen = used(processors)
        return CpuSample(
            time.monotonic(),
            {name: waited(pid) for name, pid in self._nodes.items()},
            busy - used_here(),
            stolen,
            len(processors),
        )


@dataclass(frozen=True, slots=True)
class CpuSample:
    """Processor times since the machine started, in seconds."""

    time: float
    waited: dict[str, dict[str, float]]
    """Time that each thread of each node was ready but did not run."""
    others: float
    """Time used by programs outside this sandbox."""
    stolen: float
    """Time that the machine's host gave to other machines."""
    processors: int
    """The number that this sandbox may use."""


class CpuUse(NamedTuple):
    """The samples before and after generations."""

    before: CpuSample
    after: CpuSample

    @property
    def seconds(self) -> float:
        """The time between them, on the machine's own clock."""
        return self.after.time - self.before.time


def waited(pid: int) -> dict[str, float]:
    """Return seconds that each thread of a process was ready and did not run.

    Empty where the kernel keeps no such statistics.
    """
    found = {}
    for task in (_PROC / str(pid) / "task").glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) * 1e-9
        except OSError:
            continue  # it has ended, or this kernel keeps no such statistics
    return found


def used(processors: Set[int]) -> tuple[float, float]:
    """Return seconds that programs used some processors, and that the machine's host took them."""
    busy = stolen = 0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.removeprefix("cpu").isdigit() and int(name.removeprefix("cpu")) in processors:
            user, nice, system, _idle, _wait, _irq, _softirq, steal = map(int, numbers[:8])
            busy += user + nice + system
            stolen += steal
    return busy * _TICK, stolen * _TICK


def used_here() -> float:
    """Return seconds that the processes of this sandbox have used, ended ones included."""
    ticks = 0
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended; its time counts for its parent
            ticks += sum(map(int, fields[11:15]))  # its own, and those of children that have ended
    return ticks * _TICK
