"""calibration.json: what was asked of some links, what was measured, and in which circumstances."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.results import old_keys
from testbed.results.link_check import Check

NAME = "calibration.json"


class Curves(msgspec.Struct):
    """What a figure shows of one direction; times in seconds. Empty where there is nothing."""

    link: str
    direction: str
    delays: list[float] = []
    """Evenly spaced quantiles of the one-way delay."""
    delays_asked: list[float] = []
    """The same quantiles of the law that was asked for."""
    runs: list[float] = []
    """Shares of the runs of losses that were 1, 2, … packets long."""
    runs_asked: list[float] = []
    changes: list[tuple[float, float]] = []
    """Probes under a rising delay: when each was sent, and its delay."""
    changes_asked: list[tuple[float, float]] = []
    """When each step should have come, and the delay from then on."""
    deliveries: list[float] = []
    """Packets of a saturated trace in each half second."""
    deliveries_asked: list[float] = []

    def __post_init__(self) -> None:
        if self.direction not in ("up", "down"):
            raise ValueError(f"'{self.direction}' is neither up nor down")
        for name in ("delays", "runs", "deliveries"):
            if len(getattr(self, name)) != len(getattr(self, f"{name}_asked")):
                raise ValueError(f"there are not as many {name} as were asked for")
        if self.changes and not self.changes_asked:
            raise ValueError("there are changes, and none was asked for")


class Calibration(msgspec.Struct, kw_only=True):
    """Everything that a calibration found out."""

    version: Literal[2] = 2
    source: str
    """The profile or scenario that named the links."""
    backend: str
    links: dict[str, dict[str, Any]]
    """What each direction of each link was asked to do."""
    checks: list[Check]
    curves: list[Curves]
    environment: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.outcome != "failed" for check in self.checks)

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """The calibration in a folder. Raises TestbedError when there is none of this version."""
        return old_keys.read(folder / NAME, cls)
