"""Runs that are fakes: they write files as true ones do, and take no time.

Launcher, runner, journal and conclusion are the true ones, in this process.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import msgspec

from testbed.emulation.backend import Choice
from testbed.errors import TestbedError
from testbed.experiment import emulated_bench, runner, sandboxed_workers
from testbed.experiment.bench import RunOutcome
from testbed.experiment.jobs import Job, take
from testbed.results import resume
from testbed.results.directory import Results
from testbed.results.verdict import Verdict
from testbed.scenario.load import check_scenario
from testbed.scenario.scenario import Scenario
from tests.support.records import row, write_events
from tests.support.whole_run import SYNTHETIC


class FakeDeployment:
    """A network that is none."""

    def __init__(self, scenario, plan, results) -> None:
        self.scenario, self.plan, self.results = scenario, plan, results
        self.network = SimpleNamespace(wires={}, state=lambda: {"n": 1})
        self.before = Verdict()

    def __enter__(self):
        self.results.log("device", self.plan.point)
        FakeRun.networks += 1
        return self

    def __exit__(self, *error) -> None: ...


class FakeRun:
    """Writes what a run does."""

    broken: frozenset[tuple[str, int]] = frozenset()
    """Methods and repetitions that cannot end."""
    ran: ClassVar[list[tuple[dict, str, int]]] = []
    """Points, methods and repetitions, as they took place."""
    networks = 0

    def __init__(self, deployment, entry, repetition) -> None:
        self.deployment, self.entry, self._repetition = deployment, entry, repetition
        self._point, self._rows = deployment.plan.point, []

    def __enter__(self):
        self._folder = self.deployment.results.run(self.entry.label, self._repetition, self._point)
        write_events(self._folder / "device.jsonl", "device")
        FakeRun.ran.append((self._point, self.entry.label, self._repetition))
        return self

    def __exit__(self, *error) -> None: ...

    def decode(self, prompt, _display):
        label, repetition = self.entry.label, self._repetition
        if (label, repetition) in self.broken:
            raise TestbedError(f"no answer to {label}")
        with (self._folder / "text.txt").open("a", encoding="utf-8") as file:
            file.write("text\n")
        self._rows.append(row(label, repeat=repetition, point=self._point, prompt=prompt))
        return self._rows[-1:]

    def end(self):
        (self._folder / "rounds.json").write_bytes(b"[]")
        return RunOutcome(self._rows, Verdict(), seconds=1.0, unmet=[])


def fake_runs(monkeypatch, broken=()) -> type[FakeRun]:
    """Let runs be fakes from now on, of which some are `broken`."""

    def in_this_process(commands, _env, stdin):
        *_, path, described = commands[0]
        job = msgspec.json.decode(described, type=Job)
        return [runner.work(Results(Path(path)), job, take(stdin.fileno(), job.parts))]

    now = {"commit": "a", "python": "3", "packages": {}, "kernel": "6", "processor": "x"}
    for name, value in (("broken", frozenset(broken)), ("ran", []), ("networks", 0)):
        monkeypatch.setattr(FakeRun, name, value)
    monkeypatch.setattr(sandboxed_workers, "run_in_sandboxes", in_this_process)
    monkeypatch.setattr(sandboxed_workers, "check_sandbox", lambda: None)
    monkeypatch.setattr(sandboxed_workers, "require_offered", lambda *_: None)
    monkeypatch.setattr(sandboxed_workers, "choose_backend", lambda *_: Choice("relay"))
    monkeypatch.setattr(emulated_bench, "Deployment", FakeDeployment)
    monkeypatch.setattr(emulated_bench, "MethodRun", FakeRun)
    for module in (runner, resume):
        monkeypatch.setattr(module, "describe_environment", lambda: now)
    return FakeRun


def scenario(**changes) -> Scenario:
    """Return the synthetic scenario with changes, without captures."""
    return check_scenario({**SYNTHETIC, "capture": False, **changes}, "test")
