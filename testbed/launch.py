"""What `testbed run` does outside the sandbox: check everything, start, conclude."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed.conclusion import conclude
from testbed.emulation.backend import choose_backend
from testbed.emulation.sandbox import check_sandbox, run_in_sandbox
from testbed.errors import TestbedError
from testbed.experiment import Plan, read_plans
from testbed.journal import JOURNAL, mend
from testbed.preparation import prepare
from testbed.results import Results
from testbed.resumption import last_session
from testbed.scenario import Scenario
from testbed.traces.verdict import Verdict


def launch(scenario: Scenario, out: Path) -> tuple[Results, int]:
    """Run a scenario in a sandbox. Returns its results and the exit code.

    Raises TestbedError, before anything is started or written, when it cannot be run here.
    """
    check_sandbox()
    backend = choose_backend(scenario.document.backend, scenario.netem_refusals())
    plans = [prepare(point, backend) for point in scenario.every_point()]
    results = Results.create(out, scenario.name)
    results.write_scenario(scenario.to_mapping())
    results.write_json("plan.json", plans)
    (results.path / JOURNAL).touch()
    print(f"{scenario.name}: links by {backend}, results in {results.path}", flush=True)
    for warning in results.warnings():
        print(f"warning: {warning}", flush=True)
    with results.held():
        return results, _work(results, plans, session=0)


def resume(path: Path) -> tuple[Results, int]:
    """Do the runs that have not ended in results, each from its beginning. As `launch`.

    Raises TestbedError when there is nothing to go on with, or it would not be the same.
    """
    check_sandbox()
    results = Results.open(path)
    with results.held():
        session = last_session(results) + 1
        plans = read_plans(results)
        _require_backend(plans[0].backend)
        mend(results.path)
        runs, ended = sum(len(plan.order) for plan in plans), len(results.ended())
        if ended == runs:
            print(f"{results.path}: nothing is left to do, {runs} of {runs} runs have ended")
            return results, conclude(results, session, runs)
        print(f"{results.path}: {runs - ended} of {runs} runs are left to do", flush=True)
        results.remove_unfinished()
        return results, _work(results, plans, session)


def _require_backend(begun: str) -> None:
    """Raise TestbedError unless links can be made as they were when the run was begun."""
    found = choose_backend("relay" if begun == "relay" else "netem")
    if found != begun:
        raise TestbedError(
            f"--resume: it was begun with links by {begun}; here they are by {found}"
        )


def _work(results: Results, plans: list[Plan], session: int) -> int:
    """Do the runs of a session and conclude; the exit code."""
    # Stands until the end is reached, however the run dies before.
    results.write_json("verdict.json", Verdict("invalid", ["the run did not end"]))
    run_in_sandbox(
        [sys.executable, "-m", "testbed.runner", str(results.path.resolve()), str(session)],
        # Nodes have no network; without this, libraries would try theirs and wait.
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    return conclude(results, session, sum(len(plan.order) for plan in plans))
