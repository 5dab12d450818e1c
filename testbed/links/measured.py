"""Files of measured delays, and their empirical distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.links.files import at_line, read_lines
from testbed.links.quantities import ContentOf
from testbed.links.units import parse_number

_LONGEST = 1_000_000  # ms


@dataclass(frozen=True, slots=True)
class MeasuredDelays:
    """A file of one-way delays, one per line in milliseconds; `delays` in seconds, ascending."""

    path: Path
    delays: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> MeasuredDelays:
        """Read a file. Raises TestbedError, with file and line, for a line that is not a delay."""
        where, delays = str(path), []
        for number, line in read_lines(path, where):
            try:
                delay = parse_number(line, "milliseconds", _LONGEST)
            except ValueError:  # the line is not shown: a wrong path may lead to a private file
                raise TestbedError(
                    f"{at_line(where, number)}: it is not a delay in milliseconds, 0 to "
                    f"{_LONGEST}, e.g. 2.5"
                ) from None
            delays.append(delay / 1000)
        if not delays:
            raise TestbedError(f"{where}: it has no delays; write at least one, in milliseconds")
        return cls(path, tuple(sorted(delays)))

    def quantile(self, u: float) -> float:
        """Return the quantile of the empirical distribution at `u` in [0, 1), in seconds."""
        return self.delays[int(u * len(self.delays))]


if TYPE_CHECKING:
    DelaysFile = MeasuredDelays
else:

    class DelaysFile(ContentOf):
        """A file of delays."""

        content = MeasuredDelays
