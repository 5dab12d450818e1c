"""`testbed run` outside its workers: check everything, start workers, conclude."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

from testbed.exit_codes import ERROR, INTERRUPTED, OVERDUE, VALID
from testbed.experiment.by_backend import workers_for
from testbed.experiment.jobs import Job, Piece, left, pack, require_processors
from testbed.experiment.preparation import prepare
from testbed.experiment.workers import Workers
from testbed.host.children import ending
from testbed.host.cores import quota_warning, usable_cores
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.output.terminal import complain, say
from testbed.results.directory import Results
from testbed.results.finalise import conclude, with_room
from testbed.results.journal import JOURNAL, Stopped, append
from testbed.results.opening import open_results
from testbed.results.plan import Plan, read_plans
from testbed.results.resume import (
    discard_doubtful,
    require_known_tcp,
    require_same_operators,
    require_same_processor,
    sessions,
)
from testbed.results.rows import Backend
from testbed.results.verdict import UNFINISHED, Verdict
from testbed.scenario.scenario import Scenario


def launch(scenario: Scenario, out: Path, jobs: int = 1) -> tuple[Results, int]:
    """Run a scenario by `jobs` workers side by side; return its results and the exit code.

    There are fewer if so many would disturb the links.
    Raises TestbedError, before anything is started or written, when it cannot be run here.
    """
    workers = workers_for(scenario.spec.backend)
    workers.check()
    require_processors(jobs)
    backend, (described, *more) = workers.choose(scenario)
    plans = _plans(scenario, workers, backend, jobs)
    results = Results.create(out, scenario.name)
    results.write_scenario(scenario.to_mapping())
    results.write_json("plan.json", plans)
    (results.path / JOURNAL).touch()
    with results.held(), _until_the_end(results):
        say(f"{scenario.name}: {described}, results in {results.path}", *more)
        for warning in results.warnings():
            say(f"warning: {warning}")
        scenarios = [point.scenario for point in scenario.every_point()]
        workers.prepare(results, list(zip(scenarios, plans, strict=True)))
        fitting = workers.jobs_that_fit(results, min(jobs, _count(plans)))
        if fitting < jobs:
            plans = _plans(scenario, workers, backend, fitting)
            results.write_json("plan.json", plans)
        return results, _work(results, workers, plans, 0, fitting)


def resume(path: Path, *, redo: bool = False) -> tuple[Results, int]:
    """Do the runs that have not ended in results, each from its beginning; return as `launch`.

    With `redo` also those that ended but are not valid.

    Raises TestbedError when there are no such results, or code or machine have changed since.
    """
    results = open_results(path)
    with results.held():
        began = sessions(results)
        session = began[-1].session + 1
        plans = read_plans(results)
        workers = workers_for(plans[0].backend)
        workers.check()
        require_same_operators(results, plans)
        require_same_processor(results, began[0].environment.get("processor"), plans)
        require_known_tcp(results)
        workers.require_same(plans[0].backend)
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
            jobs = workers.jobs_that_fit(results, min(began[0].jobs, usable_cores()))
            return results, _work(results, workers, plans, session, jobs)


def _plans(scenario: Scenario, workers: Workers, backend: Backend, jobs: int) -> list[Plan]:
    points = scenario.every_point()
    wanted = any(point.scenario.spec.capture for point in points)
    why_not = workers.why_no_captures() if wanted else ""
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


def _work(results: Results, workers: Workers, plans: list[Plan], session: int, jobs: int) -> int:
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
    every_job = [
        Job(session=session, jobs=jobs, parts=parts, processors=processors)
        for processors in workers.shares(jobs)
    ]
    with tempfile.TemporaryFile() as file:
        file.write(pack(pieces, parts))
        file.seek(0)
        codes = workers.run(results, every_job, file)
    results.require_kept()
    for reason in dict.fromkeys(
        _why(code, workers.worker) for code in codes if code not in (VALID, ERROR)
    ):
        complain(f"error: {reason}")
        stopped = Stopped(session=session, point={}, reason=reason)
        with_room(results, partial(append, results.path, stopped))
    return conclude(results, session, _count(plans))


def _why(code: int, worker: str) -> str:
    """Explain the exit code of a worker that wrote no reason into the journal."""
    return f"{'the run' if code in (INTERRUPTED, OVERDUE) else worker} {ending(code)}"
