"""Mahimahi traces: the times at which a radio link delivered packets (Netravali et al., ATC 2015).

Each line is a whole number, the millisecond in which one packet of 1,500 bytes may leave; a
millisecond with several packets has several lines. The last time is the period of the trace, after
which it begins again.
"""

from __future__ import annotations

import functools
import operator
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from testbed.config.one_of import Form
from testbed.errors import TestbedError
from testbed.links.files import at_line, read_lines
from testbed.links.quantities import ContentOf
from testbed.links.queue import FULL_FRAME

_DIGITS = 10  # of milliseconds: months


@dataclass(frozen=True, slots=True)
class DeliveryTrace:
    """A trace: its file, and the times of its delivery opportunities, in seconds and in order."""

    path: Path
    times: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> DeliveryTrace:
        """Read a file. Raises TestbedError, with file and line, if it is not a trace."""
        return _read(path)

    @property
    def period(self) -> float:
        """The seconds after which the trace begins again."""
        return self.times[-1]

    @property
    def mean_rate(self) -> float:
        """The mean rate of the whole trace, in bit/s of Ethernet frames."""
        return len(self.times) * FULL_FRAME * 8 / self.period

    @property
    def longest_gap(self) -> float:
        """The longest time without a delivery, in seconds."""
        between = map(operator.sub, self.times[1:], self.times)
        return max(self.times[0], max(between, default=0.0))

    def time(self, number: int) -> float:
        """Return the time of opportunity `number`, from 0, in seconds since the trace began."""
        rounds, index = divmod(number, len(self.times))
        return rounds * self.period + self.times[index]

    def first_from(self, time: float) -> int:
        """Return the number, from 0, of the first opportunity at or after `time` (seconds)."""
        rounds, rest = divmod(max(0.0, time), self.period)
        return int(rounds) * len(self.times) + bisect_left(self.times, rest)


@functools.cache
def _read(path: Path) -> DeliveryTrace:
    """Read a file, once even if many changes of a schedule name it."""
    where = str(path)
    milliseconds: list[int] = []
    last = 0
    for number, line in read_lines(path, where):
        if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
            raise TestbedError(
                f"{at_line(where, number)}: it is not a whole number of milliseconds of at "
                f"most {_DIGITS} digits"
            )
        before, last = last, int(line)
        if last < before:
            raise TestbedError(f"{at_line(where, number)}: {last} ms comes after {before} ms")
        milliseconds.append(last)
    if last == 0:
        raise TestbedError(
            f"{where}: no packet is delivered after time 0; at least one time must be later"
        )
    return DeliveryTrace(path, tuple(ms / 1000 for ms in milliseconds))


if TYPE_CHECKING:
    DeliveryFile = DeliveryTrace
else:

    class DeliveryFile(ContentOf):
        """A file of deliveries."""

        content = DeliveryTrace


class RecordedDeliveries(Form, frozen=True):
    """Deliveries as recorded in a file."""

    mahimahi: DeliveryFile
    """A file in Mahimahi's format: one millisecond per line and packet, e.g. ./uplink.trace."""

    @override
    def value(self) -> DeliveryTrace:
        return self.mahimahi
