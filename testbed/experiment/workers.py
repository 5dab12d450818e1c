"""Workers: the processes that do the runs of a scenario, as its backend needs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import IO, ClassVar, NamedTuple

from testbed.experiment.jobs import Job
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.results.rows import Backend
from testbed.scenario.scenario import Scenario


class Choice(NamedTuple):
    """The backend of all runs, and sentences about it for the terminal."""

    backend: Backend
    sentences: list[str]


class Workers(ABC):
    """The processes that do runs of one backend on this machine, and their requirements."""

    worker: ClassVar[str]
    """One of these processes, in messages."""

    @abstractmethod
    def check(self) -> None:
        """Raise TestbedError unless such processes can be started here."""

    @abstractmethod
    def choose(self, scenario: Scenario) -> Choice:
        """Choose the backend of a scenario. Raises TestbedError when it cannot be had here."""

    @abstractmethod
    def require_same(self, begun: str) -> None:
        """Raise TestbedError unless the backend that a run was begun with can be had here."""

    @abstractmethod
    def why_no_captures(self) -> str:
        """Return the reason why frames cannot be captured, and the remedy; empty if they can."""

    @abstractmethod
    def prepare(self, results: Results, points: Sequence[tuple[Scenario, Plan]]) -> None:
        """Write what runs need beside scenario and plans, before the first of them."""

    @abstractmethod
    def jobs_that_fit(self, results: Results, jobs: int) -> int:
        """Return how many of the jobs can go on side by side without disturbing each other."""

    @abstractmethod
    def shares(self, jobs: int) -> list[list[int]]:
        """Return the ids of each job's own processors; empty where it has none of its own."""

    @abstractmethod
    def run(self, results: Results, jobs: Sequence[Job], pieces: IO[bytes]) -> list[int]:
        """Do pieces of work in one process per job; return their exit codes."""
