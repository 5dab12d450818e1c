"""The runs of a scenario in a worker: network, nodes, every generation.

Started by `testbed.experiment.launcher` with RESULTS and JOB, a testbed.experiment.jobs.Job, as
arguments, in namespaces of its own (testbed.emulation.inside) where it emulates; what is to be done
is in stdin. What it does goes into the journal, see testbed.results.journal.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.exit_codes import ERROR, UNREPORTED, VALID
from testbed.experiment.bench import Bench
from testbed.experiment.by_backend import open_bench
from testbed.experiment.jobs import Job, Piece, left, take
from testbed.experiment.live_display import Display
from testbed.files.checksums import checksums
from testbed.files.input_file import is_file
from testbed.host.cores import processors
from testbed.host.environment import describe_environment
from testbed.host.machine_errors import REPORTABLE, naming, sentence
from testbed.output.terminal import complain, say
from testbed.results import journal
from testbed.results.directory import FailedRun, Results
from testbed.results.finalise import failure
from testbed.results.plan import Plan, engine_versions, operator_choices, read_plans
from testbed.scenario.load import check_scenario
from testbed.scenario.run_order import RunId
from testbed.scenario.sweep import Values, namer

_GIVE_UP = 3
"""Failed runs in a row after which a point is left. In a row, so that a method that always fails
leaves the others theirs, with which it takes turns at random; few, as each takes a network and
perhaps all of the scenario's time-out."""


class Runner:
    """Does runs, point by point, and writes each into the journal as soon as it has ended.

    Raises OSError where the journal cannot be written, as no later run could be kept either.
    """

    def __init__(self, results: Results, job: Job) -> None:
        self._results = results
        self._job = job
        scenario = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
        self._scenarios = [point.scenario for point in scenario.every_point()]
        self._plans = read_plans(results)
        self._name = namer(plan.point for plan in self._plans)
        self._ended = results.ended()
        # Other workers may have begun earlier.
        self._failed = [run for run in results.failed() if run.session < job.session]
        choices = operator_choices(self._plans)
        environment = {
            **describe_environment(),
            "operators": {name: choice.why for name, choice in choices.items()},
            "engines": engine_versions(self._plans),
        }
        began = journal.Began(
            session=job.session,
            jobs=job.jobs,
            environment=environment,
            files=checksums(results.path, results.inputs()),
        )
        self._note(began)

    def run(self, pieces: Iterable[Piece]) -> int:
        """Do all runs of these pieces; the exit code says whether all have ended.

        A run that fails ends alone, and its network with it. Any other error ends the runs of its
        piece, and the next one begins.
        """
        code = VALID
        for piece in pieces:
            point = self._plans[piece.point].point
            try:
                if not self._run_piece(piece):
                    code = ERROR
            except REPORTABLE as error:
                self._stopped(point, f"the run stopped: {sentence(error)}")
                complain(f"error: {sentence(error)}")
                code = ERROR
            except KeyboardInterrupt:
                self._stopped(point, "the run was interrupted")
                complain("interrupted")
                return ERROR
        return code

    def _run_piece(self, piece: Piece) -> bool:
        """Do the runs of a piece, after a failure on a new network; return False if any failed."""
        scenario, plan = self._scenarios[piece.point], self._plans[piece.point]
        parts = self._job.parts
        turns = deque(
            left(plan.order, plan.point, self._ended, self._failed, piece=piece, parts=parts)
        )
        where = f"{self._name(plan.point)}: " if plan.point else ""
        if parts > 1:
            where += f"part {piece.part + 1} of {parts}: "
        left_of = Counter(turn.method for turn in turns)
        generations = {
            label: left_of[label] * len(scenario.prompts) * scenario.spec.devices
            for label in plan.methods
        }
        display = Display(generations, where if self._job.jobs > 1 else None)
        failures = in_a_row = 0
        while turns:
            if in_a_row == _GIVE_UP:
                raise TestbedError(
                    f"{_GIVE_UP} runs in a row have failed; --resume does the {len(turns)} that "
                    "are left here"
                )
            before = len(turns)
            bench = open_bench(scenario, plan, self._results)
            say(f"{where}{bench.beginning}")
            if self._run_until_failure(bench, plan, turns, display):
                in_a_row = in_a_row + 1 if before - len(turns) == 1 else 1
                failures += 1
        return not failures

    def _run_until_failure(
        self, opened: Bench, plan: Plan, turns: deque[RunId], display: Display
    ) -> bool:
        """Do runs on one bench until one fails, or all are done; return True if one failed."""
        name = secrets.token_hex(4)
        failed: journal.RunFailed | None = None
        try:
            with opened as bench:
                self._note(
                    journal.NetworkUp(
                        session=self._job.session,
                        network=name,
                        point=plan.point,
                        processors=processors(),
                        state=bench.state(),
                        verdict=bench.before,
                    )
                )
                with display.over(bench.links):
                    while turns and not failed:
                        turn = turns.popleft()
                        try:
                            self._run_turn(turn, name, plan.point, bench, display)
                        except REPORTABLE as error:
                            display.forget(turn.method, turn.repeat)
                            failed = journal.RunFailed(
                                session=self._job.session,
                                network=name,
                                point=plan.point,
                                turn=turn,
                                reason=sentence(error),
                            )
                if not failed:
                    self._note(journal.NetworkDown(network=name, state=bench.state()))
        finally:  # the network is gone, and nobody writes into the run's folder
            if failed:
                self._note_failure(failed)
        return failed is not None

    def _run_turn(
        self, turn: RunId, network: str, point: Values, bench: Bench, display: Display
    ) -> None:
        """Do one run, and note it in the journal when it has ended."""
        folder = self._results.run(turn.method, turn.repeat, point)
        with naming(folder):
            outcome = bench.run(turn, display)
            files = checksums(folder, sorted(filter(is_file, folder.iterdir())))
        display.judge(turn.method, outcome.verdict.level)
        self._note(
            journal.RunEnded(
                network=network,
                point=point,
                turn=turn,
                verdict=outcome.verdict,
                rows=outcome.rows,
                files=files,
                seconds=outcome.seconds,
                unmet=outcome.unmet,
            )
        )

    def _note_failure(self, record: journal.RunFailed) -> None:
        """Report a failed run and note it. Raises TestbedError if the results were removed."""
        self._results.require_kept()
        turn, point = record.turn, record.point
        run = FailedRun(method=turn.method, repeat=turn.repeat, point=point, reason=record.reason)
        complain(f"error: {failure(run)}")
        self._make_room(self._results.run_path(turn.method, turn.repeat, point))
        self._note(record)

    def _make_room(self, folder: Path) -> None:
        """Remove the files of a failed run, which count for nothing, unless as much again fits."""
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if shutil.disk_usage(self._results.path).free < size:
            shutil.rmtree(folder)

    def _stopped(self, point: Values, reason: str) -> None:
        self._note(journal.Stopped(session=self._job.session, point=point, reason=reason))

    def _note(self, record: journal.JournalEntry) -> None:
        journal.append(self._results.path, record)


def work(results: Results, job: Job, pieces: Iterable[Piece]) -> int:
    """Do the pieces of one worker; return UNREPORTED if the journal lacks the reason."""
    try:
        return Runner(results, job).run(pieces)
    except REPORTABLE as error:
        reason = sentence(error)
    if results.removed:
        return UNREPORTED  # whoever started all sandboxes says so once
    complain(f"error: {reason}")
    stopped = journal.Stopped(session=job.session, point={}, reason=f"the run stopped: {reason}")
    try:
        journal.append(results.path, stopped)
    except OSError:
        return UNREPORTED
    return ERROR


def main() -> None:
    """Do the pieces of work in stdin for the results and the job of the command line."""
    path, as_json = sys.argv[1:]
    job = msgspec.json.decode(as_json, type=Job)
    if job.processors:
        os.sched_setaffinity(0, job.processors)  # all that is started from here inherits it
    pieces = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nobody else is to read them
    sys.exit(work(Results(Path(path)), job, take(pieces, job.parts)))
