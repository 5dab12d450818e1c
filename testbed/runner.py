"""The runs of a scenario inside a sandbox: network, nodes, every text.

Started by `testbed.launch` in namespaces of its own: python -m testbed.runner RESULTS JOB, a
testbed.jobs.Job, with what is to be done in stdin. What it does goes into the journal, see
testbed.journal.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from testbed import journal
from testbed.emulation.sandbox import enter
from testbed.environment import describe_environment
from testbed.errors import TestbedError
from testbed.experiment import Experiment
from testbed.jobs import Job, left, take
from testbed.order import Turn
from testbed.plan import Plan, read_plans
from testbed.progress import Display
from testbed.results import Results
from testbed.scenario import Scenario, check_scenario
from testbed.sweep import Values, namer
from testbed.traces.summary import Row


class Runner:
    """Does runs, point by point, and writes down each as soon as it has ended."""

    def __init__(self, results: Results, job: Job) -> None:
        self._results = results
        self._job = job
        scenario = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
        self._scenarios = [point.scenario for point in scenario.every_point()]
        self._plans = read_plans(results)
        self._name = namer(plan.point for plan in self._plans)
        self._ended = results.ended()
        began = journal.Began(
            session=job.session, jobs=job.jobs, environment=describe_environment()
        )
        self._note(began)

    def run(self, pieces: Iterable[tuple[int, int]]) -> int:
        """Do all runs of these parts of points; 1 if some did not end, else 0.

        An error ends the runs of its piece, and the next one begins.
        """
        code = 0
        for point, part in pieces:
            plan = self._plans[point]
            try:
                self._run_part(self._scenarios[point], plan, part)
            except TestbedError as error:
                self._stopped(plan.point, f"the run stopped: {error}")
                print(f"error: {error}", file=sys.stderr)
                code = 1
            except KeyboardInterrupt:
                self._stopped(plan.point, "the run was interrupted")
                print("interrupted", file=sys.stderr)
                return 1
        return code

    def _run_part(self, scenario: Scenario, plan: Plan, part: int) -> None:
        turns = left(plan.order, plan.point, self._ended, part, self._job.parts)
        where = f"{self._name(plan.point)}: " if plan.point else ""
        if self._job.parts > 1:
            where += f"part {part + 1} of {self._job.parts}: "
        document = scenario.document
        factor = document.time_dilation
        slow = f" (everything {factor:g} times as slow)" if factor > 1 else ""
        print(
            f"{where}starting the network and the nodes{slow}, which load their models", flush=True
        )
        left_of = Counter(turn.method for turn in turns)
        texts = {
            label: left_of[label] * len(scenario.prompts) * document.devices
            for label in plan.methods
        }
        with Experiment(scenario, plan, self._results) as experiment:
            network, name = experiment.network, secrets.token_hex(4)
            self._note(
                journal.NetworkUp(
                    session=self._job.session,
                    network=name,
                    point=plan.point,
                    processors=sorted(os.sched_getaffinity(0)),
                    state=network.state(),
                    verdict=experiment.before,
                )
            )
            with Display(texts, network.wires, where if self._job.jobs > 1 else None) as display:
                for turn in turns:
                    rows = run_texts(scenario, turn, experiment, display)
                    display.judge(turn.method, experiment.verdict.level)
                    self._note(
                        journal.RunEnded(
                            network=name,
                            point=plan.point,
                            turn=turn,
                            verdict=experiment.verdict,
                            rows=rows,
                        )
                    )
            self._note(journal.NetworkDown(network=name, state=network.state()))

    def _stopped(self, point: Values, reason: str) -> None:
        self._note(journal.Stopped(session=self._job.session, point=point, reason=reason))

    def _note(self, record: journal.Record) -> None:
        journal.append(self._results.path, record)


def run_texts(
    scenario: Scenario, turn: Turn, experiment: Experiment, display: Display
) -> list[Row]:
    """One run: every prompt by one method; all rows."""
    (entry,) = (each for each in scenario.methods if each.label == turn.method)
    prompts, document = len(scenario.prompts), scenario.document
    experiment.begin(entry, turn.repeat)
    for prompt in range(prompts):
        display.start(
            entry.label, prompt, prompts, document.decoding.max_new_tokens * document.devices
        )
        display.finish(experiment.decode(entry, turn.repeat, prompt, display))
    return experiment.end(entry, turn.repeat)


def main() -> None:
    """Do what the command line and stdin say."""
    path, told = sys.argv[1:]
    job = msgspec.json.decode(told, type=Job)
    os.sched_setaffinity(0, job.processors)  # all that is started from here inherits it
    enter()
    pieces = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nobody else is to read them
    try:
        code = Runner(Results(Path(path)), job).run(take(pieces, job.parts))
    except KeyboardInterrupt:  # between two pieces of work
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
