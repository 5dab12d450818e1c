"""Delays as they were measured."""

from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import TestbedError
from testbed.links.files import read_lines


@dataclass(frozen=True, slots=True)
class MeasuredDelays:
    """A file of one-way delays, one a line in milliseconds, and their values sorted, in seconds."""

    path: Path
    delays: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path, where: str) -> "MeasuredDelays":
        """Read a file; TestbedError with file and line for what is no delay."""
        delays = []
        for place, line in read_lines(path, where):
            try:
                delay = float(line)
            except ValueError:
                delay = -1.0
            if not 0 <= delay <= 1e6:
                raise TestbedError(f"{place}: it is not a delay in milliseconds, 0 to 1000000")
            delays.append(delay / 1000)
        if not delays:
            raise TestbedError(f"{where}: {path}: it holds no delay")
        return cls(path, tuple(sorted(delays)))

    def quantile(self, u: float) -> float:
        """The delay at `u` of [0, 1) of the empirical law, seconds."""
        return self.delays[int(u * len(self.delays))]
