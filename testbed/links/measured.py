"""Delays as they were measured."""

from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import TestbedError
from testbed.links.files import place_of, read_lines
from testbed.links.units import parse_number

_LONGEST = 1_000_000  # ms


@dataclass(frozen=True, slots=True)
class MeasuredDelays:
    """A file of one-way delays, one a line in milliseconds, and their values sorted, in seconds."""

    path: Path
    delays: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path, where: str) -> "MeasuredDelays":
        """Read a file; TestbedError with file and line for what is no delay."""
        delays = []
        for number, line in read_lines(path, where):
            try:
                delay = parse_number(line, "milliseconds", _LONGEST)
            except ValueError:  # its text may be that of a file nobody meant, and is not shown
                raise TestbedError(
                    f"{place_of(path, where, number)}: it is not a delay in milliseconds, 0 to "
                    f"{_LONGEST}, e.g. 2.5"
                ) from None
            delays.append(delay / 1000)
        if not delays:
            raise TestbedError(f"{where}: {path}: it holds no delay")
        return cls(path, tuple(sorted(delays)))

    def quantile(self, u: float) -> float:
        """The delay at `u` of [0, 1) of the empirical law, seconds."""
        return self.delays[int(u * len(self.delays))]
