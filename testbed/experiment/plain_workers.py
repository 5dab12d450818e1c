"""Workers of simulated runs: ordinary processes, without root, namespaces or own processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import IO

import msgspec
from typing_extensions import override

from testbed.analysis.validity import statement, validity
from testbed.experiment.jobs import Job
from testbed.experiment.recorded_costs import record_costs
from testbed.experiment.workers import Choice, Workers
from testbed.host.children import run_side_by_side
from testbed.output.terminal import say
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.scenario.scenario import Scenario
from testbed.scenario.simulated import SIMULATED, require_simulable

PROGRAM = ["-m", "testbed.experiment.plain_worker"]
"""The arguments of Python that start a worker."""


class PlainWorkers(Workers):
    """Processes side by side; virtual time does not depend on how busy the machine is."""

    worker = "a worker"

    @override
    def check(self) -> None: ...

    @override
    def choose(self, scenario: Scenario) -> Choice:
        require_simulable(scenario)
        return Choice(SIMULATED, [SIMULATED, statement(validity())])

    @override
    def prepare(self, results: Results, points: Sequence[tuple[Scenario, Plan]]) -> None:
        say("recording how long nodes' own work takes, about a second for each method")
        record_costs(results, points)

    @override
    def require_same(self, begun: str) -> None:
        assert begun == SIMULATED, begun

    @override
    def why_no_captures(self) -> str:
        return ""

    @override
    def jobs_that_fit(self, results: Results, jobs: int) -> int:
        return jobs

    @override
    def shares(self, jobs: int) -> list[list[int]]:
        return [[] for _ in range(jobs)]

    @override
    def run(self, results: Results, jobs: Sequence[Job], pieces: IO[bytes]) -> list[int]:
        def start(job: Job) -> subprocess.Popen[bytes]:
            as_json = msgspec.json.encode(job).decode()
            arguments = [str(os.getpid()), str(results.path.resolve()), as_json]
            return subprocess.Popen(
                [sys.executable, *PROGRAM, *arguments],
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                stdin=pieces,
                start_new_session=True,
            )

        return run_side_by_side([partial(start, job) for job in jobs])
