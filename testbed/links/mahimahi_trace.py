"""Mahimahi traces: the moments at which a radio link delivered (Netravali et al., ATC 2015).

One whole number a line: the millisecond at which one packet of 1,500 bytes may leave; as many equal
lines as there are packets in that millisecond. At its end the trace begins again, the last
time being its period.
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
from testbed.links.files import place_of, read_lines
from testbed.links.quantities import ContentOf
from testbed.links.queue import FULL_FRAME

_DIGITS = 10  # of milliseconds: months


@dataclass(frozen=True, slots=True)
class DeliveryTrace:
    """A trace: its file, and the times of its opportunities in seconds, never decreasing."""

    path: Path
    times: tuple[float, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> DeliveryTrace:
        """Read a file; TestbedError with file and line for one that is no trace."""
        return _read(path)

    @property
    def period(self) -> float:
        """Seconds after which the trace begins again."""
        return self.times[-1]

    @property
    def mean_rate(self) -> float:
        """Bits of Ethernet frames per second, in the mean of the whole trace."""
        return len(self.times) * FULL_FRAME * 8 / self.period

    @property
    def longest_gap(self) -> float:
        """The longest time without a delivery, seconds."""
        between = map(operator.sub, self.times[1:], self.times)
        return max(self.times[0], max(between, default=0.0))

    def time(self, number: int) -> float:
        """When opportunity `number`, from 0, comes, in seconds from the trace's beginning."""
        rounds, index = divmod(number, len(self.times))
        return rounds * self.period + self.times[index]

    def first_from(self, time: float) -> int:
        """The number of the first opportunity that is not before `time`."""
        rounds, rest = divmod(max(0.0, time), self.period)
        return int(rounds) * len(self.times) + bisect_left(self.times, rest)


@functools.cache
def _read(path: Path) -> DeliveryTrace:
    """Read once what a schedule may name at many of its moments."""
    where = str(path)
    milliseconds: list[int] = []
    last = 0
    for number, line in read_lines(path, where):
        if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
            raise TestbedError(
                f"{place_of(where, number)}: it is not a whole number of milliseconds of at "
                f"most {_DIGITS} digits"
            )
        before, last = last, int(line)
        if last < before:
            raise TestbedError(f"{place_of(where, number)}: {last} ms comes after {before} ms")
        milliseconds.append(last)
    if last == 0:
        raise TestbedError(f"{where}: no packet is delivered after time 0")
    return DeliveryTrace(path, tuple(ms / 1000 for ms in milliseconds))


if TYPE_CHECKING:
    DeliveryFile = DeliveryTrace
else:

    class DeliveryFile(ContentOf):
        """A file of deliveries."""

        content = DeliveryTrace


class RecordedDeliveries(Form, frozen=True):
    """Deliveries as a file has them."""

    mahimahi: DeliveryFile
    """The file, in Mahimahi's format: one line for each packet, with its millisecond."""

    @override
    def value(self) -> DeliveryTrace:
        return self.mahimahi
