"""Whether a run may be believed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from testbed.results.link_check import Check

Level = Literal["valid", "suspect", "invalid"]
_ORDER: list[Level] = ["valid", "suspect", "invalid"]
UNFINISHED = "the run did not end"
"""How the reason begins of a verdict that stands until the run has ended."""


class Verdict(msgspec.Struct):
    """A level and the reasons for it; no reasons when valid."""

    level: Level = "valid"
    reasons: list[str] = msgspec.field(default_factory=list)
    links: list[Check] = msgspec.field(default_factory=list)
    """What was measured of the links before the run."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """What else to know of the runs, none of which is a reason."""

    def add(self, level: Level, reason: str) -> None:
        """Lower the verdict to `level` if it is not that low already."""
        self.level = worst([self.level, level])
        self.reasons.append(reason)

    def include(self, other: Verdict, where: str) -> None:
        """Take in the verdict on one part, whose reasons are told with `where` in front."""
        self.level = worst([self.level, other.level])
        self.reasons += [f"{where}{reason}" for reason in other.reasons]
        self.links += other.links


def worst(levels: Iterable[Level]) -> Level:
    """The least believable of several levels; valid when there are none."""
    return max(levels, key=_ORDER.index, default="valid")
