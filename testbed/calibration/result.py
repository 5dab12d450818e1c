"""calibration.json: the requested and measured properties of links, and the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.results import old_keys
from testbed.results.link_check import Check

NAME = "calibration.json"
BURSTS = (1, 6, 20)
"""Packets in the bursts that are timed."""


class Curves(msgspec.Struct):
    """Data of the figures for one direction; times in seconds. Empty lists for what is missing."""

    link: str
    direction: str
    delays: list[float] = []
    """Evenly spaced quantiles of the one-way delay."""
    delays_asked: list[float] = []
    """The same quantiles of the requested distribution."""
    runs: list[float] = []
    """Shares of the runs of losses that were 1, 2, … packets long."""
    runs_asked: list[float] = []
    changes: list[tuple[float, float]] = []
    """The time of sending and the delay of each probe under a rising delay."""
    changes_asked: list[tuple[float, float]] = []
    """The scheduled time of each step, and the delay from then on."""
    deliveries: list[float] = []
    """Packets that a saturated trace delivered in each half second."""
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
    """The content of calibration.json."""

    version: Literal[2] = 2
    source: str
    """The profile or scenario that named the links."""
    backend: str
    links: dict[str, dict[str, Any]]
    """The requested spec of each direction of each link."""
    checks: list[Check]
    curves: list[Curves]
    environment: dict[str, Any]

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """Read the calibration in a folder; raise TestbedError if it is missing or unreadable."""
        return old_keys.read(folder / NAME, cls)
