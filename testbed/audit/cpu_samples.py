"""How long nodes waited for processors, and what else used these, while they decoded."""

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
    """Watches, text by text, how long nodes had to wait, and what else used the processors."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        """`nodes` are the process ids by name."""
        self._nodes = dict(nodes)
        self.start()

    def start(self) -> None:
        """A text starts now."""
        self._before = self._look()
        self._after: CpuSample | None = None

    def stop(self) -> None:
        """The text has ended."""
        self._after = self._look()

    def use(self) -> CpuUse:
        """Return what was used between the last start and its stop."""
        assert self._after is not None, "the text has not ended"
        return CpuUse(self._before, self._after)

    def _look(self) -> CpuSample:
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
    """What the processors have done until a moment, in seconds."""

    time: float
    waited: dict[str, dict[str, float]]
    """How long each thread of each node was ready and did not run."""
    others: float
    """What programs outside this sandbox used."""
    stolen: float
    """What the machine's host gave to other machines."""
    processors: int
    """How many there are for us."""


class CpuUse(NamedTuple):
    """What the processors had done before and after some generations."""

    before: CpuSample
    after: CpuSample

    @property
    def seconds(self) -> float:
        """What the generations took, on the machine's own clock."""
        return self.after.time - self.before.time


def waited(pid: int) -> dict[str, float]:
    """Seconds that each thread of a process was ready and did not run; empty if nobody tells."""
    found = {}
    for task in (_PROC / str(pid) / "task").glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) * 1e-9
        except OSError:
            continue  # it has ended, or this kernel keeps no such statistics
    return found


def used(processors: Set[int]) -> tuple[float, float]:
    """Seconds that programs used some processors, and that the machine's host withheld them."""
    busy = stolen = 0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.removeprefix("cpu").isdigit() and int(name.removeprefix("cpu")) in processors:
            user, nice, system, _idle, _wait, _irq, _softirq, steal = map(int, numbers[:8])
            busy += user + nice + system
            stolen += steal
    return busy * _TICK, stolen * _TICK


def used_here() -> float:
    """Seconds that the processes of this sandbox have used, those that have ended included."""
    ticks = 0
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended; whoever waits for it has its time
            ticks += sum(map(int, fields[11:15]))  # its own, and that of its dead children
    return ticks * _TICK
