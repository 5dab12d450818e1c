"""The runs of a scenario inside a sandbox: network, nodes, every text.

Started by `testbed.launch` in namespaces of its own: python -m testbed.runner RESULTS SESSION.
What it does goes into the journal, see testbed.journal.
"""

from __future__ import annotations

import secrets
import sys
from datetime import datetime, timezone
from pathlib import Path

from testbed import journal
from testbed.emulation.sandbox import enter
from testbed.environment import describe_environment
from testbed.errors import TestbedError
from testbed.experiment import Experiment, Plan, read_plans
from testbed.order import Turn
from testbed.progress import Display
from testbed.results import Results
from testbed.scenario import Scenario, check_scenario
from testbed.sweep import Values, point_text
from testbed.traces.summary import Row


class Runner:
    """Does runs, point by point, and writes down each as soon as it has ended."""

    def __init__(self, results: Results, session: int) -> None:
        self._results = results
        self._session = session
        scenario = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
        self._scenarios = [point.scenario for point in scenario.every_point()]
        self._plans = read_plans(results)
        self._ended = results.ended()
        self._note(journal.Began(t=_now(), session=session, environment=describe_environment()))

    def run(self) -> int:
        """Do all runs; 1 if some did not end, else 0.

        An error ends the runs at its point, and the next one begins.
        """
        code = 0
        for scenario, plan in zip(self._scenarios, self._plans, strict=True):
            left = self._left(plan)
            if not left:
                continue
            try:
                self._run_point(scenario, plan, left)
            except TestbedError as error:
                self._stopped(plan.point, f"the run stopped: {error}")
                print(f"error: {error}", file=sys.stderr)
                code = 1
            except KeyboardInterrupt:
                self._stopped(plan.point, "the run was interrupted")
                print("interrupted", file=sys.stderr)
                return 1
        return code

    def _left(self, plan: Plan) -> list[Turn]:
        """The runs at a point that have not ended in an earlier session, in their order."""
        ended = {run.turn for run in self._ended if run.point == plan.point}
        return [turn for turn in plan.order if turn not in ended]

    def _run_point(self, scenario: Scenario, plan: Plan, turns: list[Turn]) -> None:
        where = f"{point_text(plan.point)}: " if plan.point else ""
        document = scenario.document
        factor = document.time_dilation
        slow = f" (everything {factor:g} times as slow)" if factor > 1 else ""
        print(
            f"{where}starting the network and the nodes{slow}, which load their models", flush=True
        )
        texts = len(turns) * len(scenario.prompts) * document.devices
        with Experiment(scenario, plan, self._results) as experiment:
            network, name = experiment.network, secrets.token_hex(4)
            self._note(
                journal.NetworkUp(
                    t=_now(),
                    session=self._session,
                    network=name,
                    point=plan.point,
                    state=network.state(),
                    verdict=experiment.before,
                )
            )
            with Display(texts, network.wires) as display:
                for turn in turns:
                    rows = run_texts(scenario, turn, experiment, display)
                    self._note(
                        journal.RunEnded(
                            t=_now(),
                            network=name,
                            point=plan.point,
                            turn=turn,
                            verdict=experiment.verdict,
                            rows=rows,
                        )
                    )
            self._note(journal.NetworkDown(t=_now(), network=name, state=network.state()))

    def _stopped(self, point: Values, reason: str) -> None:
        self._note(journal.Stopped(t=_now(), session=self._session, point=point, reason=reason))

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


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    enter()
    sys.exit(Runner(Results(Path(sys.argv[1])), int(sys.argv[2])).run())
