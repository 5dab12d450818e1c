"""What `testbed run` does outside the sandbox: check everything, find the models, start, report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from testbed.document import RealModel
from testbed.emulation.backend import choose_backend
from testbed.emulation.sandbox import check_sandbox, run_in_sandbox
from testbed.environment import threads_per_node
from testbed.errors import TestbedError
from testbed.experiment import Plan
from testbed.methods.base import method_class, parse_options
from testbed.models.catalog import resolve
from testbed.models.spec import ModelSpec, SyntheticSpec
from testbed.models.vocabulary import require_same_vocabulary, vocabulary_of
from testbed.results import Results
from testbed.scenario import Scenario


def launch(scenario: Scenario, out: Path) -> tuple[Results, int]:
    """Run a scenario in a sandbox. Returns its results and the exit code.

    Raises TestbedError, before anything is started or written, when it cannot be run here.
    """
    check_sandbox()
    backend = choose_backend(scenario.document.backend, scenario.netem_refusals())
    plans = [
        Plan(point.values, backend, *_models_for(point.scenario))
        for point in scenario.every_point()
    ]
    results = Results.create(out, scenario.name)
    results.write_scenario(scenario.to_mapping())
    results.write_json("plan.json", plans)
    print(f"{scenario.name}: links by {backend}, results in {results.path}", flush=True)
    code = run_in_sandbox(
        [sys.executable, "-m", "testbed.runner", str(results.path.resolve())],
        # Nodes have no network; without this, libraries would try theirs and wait.
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    return results, code


def _models_for(scenario: Scenario) -> tuple[ModelSpec, ModelSpec]:
    """Target and draft; each method must be able to work with their vocabulary."""
    target, draft = resolve_models(scenario)
    size = vocabulary_of(target).size
    for entry in scenario.methods:
        kind = method_class(entry.method)
        try:
            kind(parse_options(kind, entry.options, entry.label), size)
        except (TestbedError, ValueError) as error:
            raise TestbedError(f"{scenario.source}: method {entry.label}: {error}") from None
    return target, draft


def resolve_models(scenario: Scenario) -> tuple[ModelSpec, ModelSpec]:
    """Target and draft as local files, with one vocabulary. Raises TestbedError otherwise."""
    models = scenario.document.models
    if models.synthetic is not None:
        spec = SyntheticSpec(
            models.synthetic.vocabulary_size, models.synthetic.acceptance, models.synthetic.seed
        )
        return spec, spec
    assert models.target is not None and models.draft is not None
    where = f"{scenario.source}: models"
    threads = threads_per_node(scenario.document.devices + 1)
    target = _resolve(models.target, threads, f"{where}.target")
    draft = _resolve(models.draft, threads, f"{where}.draft")
    try:
        require_same_vocabulary(target, draft)
    except TestbedError as error:
        raise TestbedError(f"{where}: {error}") from None
    return target, draft


def _resolve(model: str | RealModel, threads: int, where: str) -> ModelSpec:
    if isinstance(model, str):
        model = RealModel(model=model)
    try:
        spec = resolve(model.model)
    except TestbedError as error:
        raise TestbedError(f"{where}: {error}") from None
    return msgspec.structs.replace(
        spec,
        dtype=model.dtype,
        without_layers=model.without_layers or spec.without_layers,
        threads=model.threads or threads,
    )
