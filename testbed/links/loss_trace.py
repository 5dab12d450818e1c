"""Traces of packet loss: which packets were lost, as recorded in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from testbed.config.one_of import Form
from testbed.errors import TestbedError
from testbed.links.files import at_line, read_lines
from testbed.links.quantities import ContentOf

_FATES = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class LossTrace:
    """A file with one line per packet: 1 if it was lost, 0 if it arrived.

    Line n holds for packet n; after the last line the trace begins again.
    """

    path: Path
    lost: tuple[bool, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> LossTrace:
        """Read a file.

        Raises TestbedError, with file and line, for a line that is neither 0 nor 1, and for a file
        in which all packets are lost.
        """
        lost = []
        where = str(path)
        for number, line in read_lines(path, where):
            if line not in _FATES:
                raise TestbedError(
                    f"{at_line(where, number)}: it is neither 0 (arrived) nor 1 (lost)"
                )
            lost.append(_FATES[line])
        if False not in lost:
            raise TestbedError(f"{path}: no packet arrives; at least one line must be 0")
        return cls(path, tuple(lost))

    @property
    def mean(self) -> float:
        """The share of packets lost."""
        return sum(self.lost) / len(self.lost)

    def loses(self, number: int) -> bool:
        """Return True if packet `number`, counted from 0, is lost."""
        return self.lost[number % len(self.lost)]


if TYPE_CHECKING:
    LossFile = LossTrace
else:

    class LossFile(ContentOf):
        """A file of losses."""

        content = LossTrace


class RecordedLoss(Form, frozen=True):
    """Losses as recorded in a file."""

    trace: LossFile
    """A file with one line per packet: 1 if it was lost, 0 if it arrived, e.g. ./losses.txt."""

    @override
    def value(self) -> LossTrace:
        return self.trace
