"""The verdict: the soundness of a run, valid, suspect or invalid, with reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from testbed.results.link_check import Check

Level = Literal["valid", "suspect", "invalid"]
_ORDER: list[Level] = ["valid", "suspect", "invalid"]
UNFINISHED = "the run did not end"
"""The beginning of the reason in the verdict that is stored until the run has ended."""


class Verdict(msgspec.Struct):
    """A level and the reasons for it; a valid verdict has none."""

    level: Level = "valid"
    reasons: list[str] = msgspec.field(default_factory=list)
    links: list[Check] = msgspec.field(default_factory=list)
    """The measurements of the links before the run."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """Remarks on the runs that do not lower the level."""

    def add(self, level: Level, reason: str) -> None:
        """Add a reason, and lower the verdict to `level` unless it is that low already."""
        self.level = worst([self.level, level])
        self.reasons.append(reason)

    def include(self, other: Verdict, where: str) -> None:
        """Include the verdict on one part: its level, links, and reasons with `where` in front."""
        self.level = worst([self.level, other.level])
        self.reasons += [f"{where}{reason}" for reason in other.reasons]
        self.links += other.links


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of several levels; valid if there are none."""
    return max(levels, key=_ORDER.index, default="valid")
