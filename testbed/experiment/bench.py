"""A bench: a network with its nodes at one point of a sweep, on which runs are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from testbed.experiment.live_display import CountedLink, Display
from testbed.results.rows import Row
from testbed.results.verdict import Verdict
from testbed.scenario.run_order import RunId


@dataclass(frozen=True)
class RunOutcome:
    """The rows and the verdict of a run that has ended."""

    rows: list[Row]
    verdict: Verdict
    """The verdict on the run alone, without its generations."""
    seconds: float
    """Emulated time from its beginning to its end."""
    unmet: list[str]
    """Parts of schedules and traces that the run did not reach, by testbed.links.unmet."""


class Bench(AbstractContextManager["Bench"], ABC):
    """Network and nodes of one point while the context lasts; its runs take place in turn.

    A run leaves all its files in its folder (testbed.results.directory), and its rows are final.
    """

    before: Verdict
    """The verdict on the links, before the first run."""

    @property
    @abstractmethod
    def beginning(self) -> str:
        """A sentence on what entering the context does, for the terminal."""

    @property
    @abstractmethod
    def links(self) -> Mapping[str, CountedLink]:
        """The shaped links by name, for the display."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the settings of network and hosts as they are now, for the journal."""

    @abstractmethod
    def run(self, turn: RunId, display: Display) -> RunOutcome:
        """Decode every prompt by one method, in one run. Raises TestbedError if it cannot end."""
