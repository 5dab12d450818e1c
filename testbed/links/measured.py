"""Delays as they were measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.links.files import place_of, read_lines
from testbed.links.quantities import ContentOf
from testbed.links.units import parse_number

_LONGEST = 1_000_000  # ms


@dataclass(frozen=True, slots=True)
class MeasuredDelays:
    """A file of one-way delays, one a line in milliseconds, and their values sorted, in seconds."""

    path: Path
    delays: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> MeasuredDelays:
        """Read a file; TestbedError with file and line for what is no delay."""
        where, delays = str(path), []
        for number, line in read_lines(path, where):
            try:
                delay = parse_number(line, "milliseconds", _LONGEST)
            except ValueError:  # its text may be that of a file nobody meant, and is not shown
                raise TestbedError(
                    f"{place_of(where, number)}: it is not a delay in milliseconds, 0 to "
                    f"{_LONGEST}, e.g. 2.5"
                ) from None
            delays.append(delay / 1000)
        if not delays:
            raise TestbedError(f"{where}: it holds no delay")
        return cls(path, tuple(sorted(delays)))

    def quantile(self, u: float) -> float:
        """The delay at `u` of [0, 1) of the empirical law, seconds."""
        return self.delays[int(u * len(self.delays))]


if TYPE_CHECKING:
    DelaysFile = MeasuredDelays
else:

    class DelaysFile(ContentOf):
        """A file of delays."""

        content = MeasuredDelays
