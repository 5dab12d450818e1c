"""Workers of emulated runs: each is in a sandbox and has processors of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO

import msgspec
from typing_extensions import override

from testbed.emulation.backend import choose_backend
from testbed.emulation.congestion_control import require_offered
from testbed.emulation.inside import inside_command
from testbed.emulation.sandbox import check_sandbox, run_in_sandboxes
from testbed.errors import TestbedError
from testbed.experiment import job_trial
from testbed.experiment.jobs import Job, shares
from testbed.experiment.workers import Choice, Workers
from testbed.pcap import capture_trial
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.results.rows import Backend
from testbed.scenario.scenario import Scenario


class SandboxedWorkers(Workers):
    """Sandboxes side by side, as many as do not disturb each other's links."""

    worker = "a sandbox"

    @override
    def check(self) -> None:
        check_sandbox()

    @override
    def choose(self, scenario: Scenario) -> Choice:
        points = scenario.every_point()
        for wanted in {each.scenario.spec.tcp.congestion_control for each in points}:
            require_offered(wanted, "the hosts", f"{scenario.source}: ")
        chosen = choose_backend(scenario.spec.backend, scenario.netem_refusals())
        said = [f"links by {chosen.backend}"]
        said += [f"links by {chosen.backend}, as {chosen.reason}"] if chosen.reason else []
        return Choice(msgspec.convert(chosen.backend, Backend), said)

    @override
    def require_same(self, begun: str) -> None:
        found = choose_backend("relay" if begun == "relay" else "netem").backend
        if found != begun:
            raise TestbedError(
                f"--resume: it was begun with links by {begun}; here they are by {found}"
            )

    @override
    def why_no_captures(self) -> str:
        return capture_trial.why_no_captures()

    @override
    def prepare(self, results: Results, points: Sequence[tuple[Scenario, Plan]]) -> None: ...

    @override
    def jobs_that_fit(self, results: Results, jobs: int) -> int:
        return job_trial.jobs_that_fit(results, jobs)

    @override
    def shares(self, jobs: int) -> list[list[int]]:
        return shares(jobs)

    @override
    def run(self, results: Results, jobs: Sequence[Job], pieces: IO[bytes]) -> list[int]:
        path = str(results.path.resolve())
        commands = [
            inside_command("testbed.experiment.runner", path, msgspec.json.encode(job).decode())
            for job in jobs
        ]
        # Nodes have no network; without this, libraries would try theirs and wait.
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        return run_in_sandboxes(commands, env, stdin=pieces)
