"""The bench of emulated runs: a Mininet network with node processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from testbed.emulation.wire import Wire
from testbed.experiment.bench import Bench, RunOutcome
from testbed.experiment.deployment import Deployment
from testbed.experiment.live_display import Display
from testbed.experiment.method_run import MethodRun
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.scenario.run_order import RunId
from testbed.scenario.scenario import Scenario


class EmulatedBench(Bench):
    """A deployment, and the runs on it."""

    def __init__(self, scenario: Scenario, plan: Plan, results: Results) -> None:
        self._scenario = scenario
        self._deployment = Deployment(scenario, plan, results)

    @override
    def __enter__(self) -> EmulatedBench:
        self._deployment.__enter__()
        self.before = self._deployment.before
        return self

    @override
    def __exit__(self, *error: object) -> None:
        self._deployment.__exit__(*error)

    @property
    @override
    def beginning(self) -> str:
        factor = self._scenario.spec.time_dilation
        slow = f" (everything {factor:g} times as slow)" if factor > 1 else ""
        return f"starting the network and the nodes{slow}, which load their models"

    @property
    @override
    def links(self) -> Mapping[str, Wire]:
        return self._deployment.network.wires

    @override
    def state(self) -> dict[str, Any]:
        return self._deployment.network.state()

    @override
    def run(self, turn: RunId, display: Display) -> RunOutcome:
        entry = self._scenario.entry(turn.method)
        prompts, spec = len(self._scenario.prompts), self._scenario.spec
        tokens = spec.decoding.max_new_tokens * spec.devices
        with MethodRun(self._deployment, entry, turn.repeat) as run:
            for prompt in range(prompts):
                display.start(entry.label, prompt, prompts, tokens)
                display.finish(run.decode(prompt, display))
            return run.end()
