"""`testbed run` outside the sandbox: check everything, start sandboxes, conclude."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

import msgspec

from testbed.emulation.backend import BACKENDS, choose_backend
from testbed.emulation.congestion_control import require_offered
from testbed.emulation.inside import inside_command
from testbed.emulation.sandbox import check_sandbox, ending, run_in_sandboxes
from testbed.errors import TestbedError
from testbed.exit_codes import ERROR, INTERRUPTED, OVERDUE, VALID
from testbed.experiment.job_trial import jobs_that_fit
from testbed.experiment.jobs import Job, Piece, left, pack, require_processors, shares
from testbed.experiment.preparation import prepare
from testbed.host.cores import quota_warning, usable_cores
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.output.terminal import complain, say
from testbed.pcap.capture_trial import why_no_captures
from testbed.results.directory import Results
from testbed.results.finalise import conclude, with_room
from testbed.results.journal import JOURNAL, Stopped, append
from testbed.results.opening import open_results
from testbed.results.plan import Plan, read_plans
from testbed.results.resume import (
    discard_doubtful,
    require_known_tcp,
    require_same_operators,
    sessions,
)
from testbed.results.verdict import UNFINISHED, Verdict
from testbed.scenario.scenario import Scenario
from testbed.scenario.simulated import SIMULATED, require_simulable


def launch(scenario: Scenario, out: Path, jobs: int = 1) -> tuple[Results, int]:
    """Run a scenario in `jobs` sandboxes side by side; return its results and the exit code.

    There are fewer if so many would disturb the links.
    Raises TestbedError, before anything is started or written, when it cannot be run here.
    """
    if scenario.spec.backend == SIMULATED:
        require_simulable(scenario)
        raise TestbedError(
            f"{scenario.source}: backend: this testbed cannot simulate runs yet; choose from "
            f"{', '.join(BACKENDS)}"
        )
    check_sandbox()
    require_processors(jobs)
    for wanted in {each.scenario.spec.tcp.congestion_control for each in scenario.every_point()}:
        require_offered(wanted, "the hosts", f"{scenario.source}: ")
    chosen = choose_backend(scenario.spec.backend, scenario.netem_refusals())
    backend = chosen.backend
    plans = _plans(scenario, backend, jobs)
    results = Results.create(out, scenario.name)
    results.write_scenario(scenario.to_mapping())
    results.write_json("plan.json", plans)
    (results.path / JOURNAL).touch()
    with results.held(), _until_the_end(results):
        say(f"{scenario.name}: links by {backend}, results in {results.path}")
        if chosen.reason:
            say(f"links by {backend}, as {chosen.reason}")
        for warning in results.warnings():
            say(f"warning: {warning}")
        fitting = jobs_that_fit(results, min(jobs, _count(plans)))
        if fitting < jobs:
            plans = _plans(scenario, backend, fitting)
            results.write_json("plan.json", plans)
        return results, _work(results, plans, 0, fitting)


def resume(path: Path, *, redo: bool = False) -> tuple[Results, int]:
    """Do the runs that have not ended in results, each from its beginning; return as `launch`.

    With `redo` also those that ended but are not valid.

    Raises TestbedError when there are no such results, or code or machine have changed since.
    """
    check_sandbox()
    results = open_results(path)
    with results.held():
        began = sessions(results)
        session = began[-1].session + 1
        plans = read_plans(results)
        require_same_operators(results, plans)
        require_known_tcp(results)
        _require_backend(plans[0].backend)
        with _until_the_end(results):  # the verdict that stands counts runs discarded now
            if redo:
                results.remove_unfinished()  # so that no summary has runs that are discarded
                discard_doubtful(results, session)
            runs, ended = _count(plans), len(results.ended())
            if ended == runs:
                say(f"{results.path}: nothing is left to do, {runs} of {runs} runs have ended")
                return results, conclude(results, session, runs)
            say(f"{results.path}: {runs - ended} of {runs} runs are left to do")
            results.remove_unfinished()
            # As many share the machine as before, if they still can.
            jobs = jobs_that_fit(results, min(began[0].jobs, usable_cores()))
            return results, _work(results, plans, session, jobs)


def _plans(scenario: Scenario, backend: str, jobs: int) -> list[Plan]:
    points = scenario.every_point()
    wanted = any(point.scenario.spec.capture for point in points)
    why_not = why_no_captures() if wanted else ""
    plans = [prepare(point, backend, jobs, why_not) for point in points]
    if limited := quota_warning():
        for plan in plans:
            plan.warnings.append(limited)
    return plans


@contextmanager
def _until_the_end(results: Results) -> Iterator[None]:
    """Write the verdict that the run did not end, with the error if one was caught."""
    results.write_json("verdict.json", Verdict("invalid", [UNFINISHED]))
    try:
        yield
    except REPORTABLE as error:
        results.require_kept()
        with suppress(OSError):
            verdict = Verdict("invalid", [f"{UNFINISHED}: {sentence(error)}"])
            results.write_json("verdict.json", verdict)
        raise


def _count(plans: list[Plan]) -> int:
    """Return the number of runs."""
    return sum(len(plan.order) for plan in plans)


def _require_backend(begun: str) -> None:
    """Raise TestbedError unless links can be made as they were when the run was begun."""
    found = choose_backend("relay" if begun == "relay" else "netem").backend
    if found != begun:
        raise TestbedError(
            f"--resume: it was begun with links by {begun}; here they are by {found}"
        )


def _work(results: Results, plans: list[Plan], session: int, jobs: int) -> int:
    """Do the runs of a session that have not ended yet, conclude, and return the exit code."""
    parts = -(-jobs // len(plans))
    ended, failed = results.ended(), results.failed()
    # Those that failed before come last: they may well do so again, and take their time.
    every = (
        Piece(point, part, again)
        for again, point, part in product((False, True), range(len(plans)), range(parts))
    )
    pieces = []
    for piece in every:
        plan = plans[piece.point]
        if left(plan.order, plan.point, ended, failed, piece=piece, parts=parts):
            pieces.append(piece)
    commands = []
    for processors in shares(jobs):
        job = Job(session=session, jobs=jobs, parts=parts, processors=processors)
        as_json = msgspec.json.encode(job).decode()
        commands.append(
            inside_command("testbed.experiment.runner", str(results.path.resolve()), as_json)
        )
    with tempfile.TemporaryFile() as file:
        file.write(pack(pieces, parts))
        file.seek(0)
        # Nodes have no network; without this, libraries would try theirs and wait.
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        codes = run_in_sandboxes(commands, env, stdin=file)
    results.require_kept()
    for reason in dict.fromkeys(_why(code) for code in codes if code not in (VALID, ERROR)):
        complain(f"error: {reason}")
        stopped = Stopped(session=session, point={}, reason=reason)
        with_room(results, partial(append, results.path, stopped))
    return conclude(results, session, _count(plans))


def _why(code: int) -> str:
    """Explain the exit code of a sandbox that wrote no reason into the journal."""
    return f"{'the run' if code in (INTERRUPTED, OVERDUE) else 'a sandbox'} {ending(code)}"
