"""One scenario inside its sandbox: network, nodes, every text, summary and verdict.

Started by `testbed.launch` in namespaces of its own: python -m testbed.runner RESULTS.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec

from testbed.emulation.sandbox import enter
from testbed.environment import describe_environment
from testbed.errors import TestbedError
from testbed.experiment import Experiment, Plan
from testbed.progress import Display
from testbed.results import Results, Summary
from testbed.scenario import Scenario, check_scenario
from testbed.sweep import point_text
from testbed.traces.packets import judge_packets
from testbed.traces.summary import Row
from testbed.traces.verdict import Level, Verdict


def decode_all(scenario: Scenario, experiment: Experiment, display: Display) -> Iterator[Row]:
    """Decode every text of the scenario; yields each row as soon as it is there."""
    document = scenario.document
    prompts = len(scenario.prompts)
    tokens = document.decoding.max_new_tokens * document.devices
    for repetition, entry in product(range(document.repeat), scenario.methods):
        experiment.begin(entry, repetition)
        for prompt in range(prompts):
            display.start(entry.label, prompt, prompts, tokens)
            rows = experiment.decode(entry, repetition, prompt, display)
            yield from rows
            display.finish(rows)
        experiment.end(entry, repetition)


def text_reasons(rows: list[Row]) -> Iterator[tuple[Level, str]]:
    """The reasons of all rows; what holds of all texts decoded together comes once."""
    told = set()
    for row in rows:
        for reason in row.reasons:
            where = f" at {point_text(row.point)}" if row.point else ""
            text = f"{row.method} prompt {row.prompt + 1}{where}: {reason}"
            if (row.repeat, text) not in told:
                told.add((row.repeat, text))
                yield row.verdict, text


class Run:
    """All points of a scenario, and what is written of them while they run."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._scenario = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
        self._rows: list[Row] = []
        self._verdict = Verdict()
        self._environment = describe_environment()

    def run(self) -> int:
        """Run everything; the exit code of `testbed run`."""
        self._write_summary()
        # Stands until the end is reached, however the run dies before.
        self._results.write_json("verdict.json", Verdict("invalid", ["the run did not end"]))
        plan_file = (self._results.path / "plan.json").read_bytes()
        plans = msgspec.json.decode(plan_file, type=list[Plan])
        points = self._scenario.every_point()
        try:
            for point, plan in zip(points, plans, strict=True):
                self._run_point(point.scenario, plan)
        except TestbedError as error:
            self._verdict.add("invalid", f"the run stopped: {error}")
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            self._verdict.add("invalid", "the run was interrupted")
            print("interrupted", file=sys.stderr)
        stopped = self._verdict.level == "invalid"
        for log in self._results.packet_logs():
            for reason in judge_packets(log):
                self._verdict.add("invalid", f"{log.parent.name}: {reason}")
        for level, reason in text_reasons(self._rows):
            self._verdict.add(level, reason)
        self._results.write_json("verdict.json", self._verdict)
        if stopped:
            return 1
        return 0 if self._verdict.level == "valid" else 3

    def _run_point(self, scenario: Scenario, plan: Plan) -> None:
        where = f"{point_text(plan.point)}: " if plan.point else ""
        document = scenario.document
        factor = document.time_dilation
        slow = f" (everything {factor:g} times as slow)" if factor > 1 else ""
        print(
            f"{where}starting the network and the nodes{slow}, which load their models", flush=True
        )
        texts = document.repeat * len(scenario.methods) * len(scenario.prompts)
        with Experiment(scenario, plan, self._results) as experiment:
            network = experiment.network
            states = {"point": plan.point, "before": network.state()}
            self._environment.setdefault("networks", []).append(states)
            self._results.write_json("environment.json", self._environment)
            try:
                with Display(texts * document.devices, network.wires) as display:
                    for row in decode_all(scenario, experiment, display):
                        self._rows.append(row)
                        self._write_summary()
                self._write_summary()  # the last run's rows learnt of their rounds at its end
                states["after"] = network.state()
                self._results.write_json("environment.json", self._environment)
            finally:
                self._verdict.include(experiment.verdict, where)

    def _write_summary(self) -> None:
        summary = Summary(scenario=self._scenario.name, rows=self._rows)
        self._results.write_json("summary.json", summary)


if __name__ == "__main__":
    enter()
    sys.exit(Run(Results(Path(sys.argv[1]))).run())
