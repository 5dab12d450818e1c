"""plan.json: what the launcher found out before anything started, and tells the sandboxes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.errors import TestbedError
from testbed.files.stored_json import read
from testbed.models.spec import HuggingFaceSpec, ModelSpec, OperatorChoice
from testbed.results.directory import Results
from testbed.scenario.run_order import RunId
from testbed.scenario.sweep import Values


class Plan(msgspec.Struct):
    """What was found out of one point of the sweep, outside, where there is a network."""

    point: Values
    """As the scenario wrote it; the resolved one also has what follows from it."""
    backend: str
    target: ModelSpec
    """With its choice of operators, see testbed.models.cpu.operators; so is the draft."""
    draft: ModelSpec
    prompts: list[str]
    """Their token ids by the target's tokenizer, in its chat template if asked for: "5 17 3"."""
    end_tokens: list[int]
    """The target's; none where texts are decoded to their limit regardless."""
    methods: list[str] = []
    """Their labels, in the order of the scenario."""
    order: list[RunId] = []
    """The runs, in the order in which they take place."""
    capture: bool = False
    """Whether frames are recorded."""
    warnings: list[str] = []
    """What whoever reads the results should know of the models."""


def operator_choices(plans: Iterable[Plan]) -> dict[str, OperatorChoice]:
    """Return the operators of each model that had a choice, by "NAME in DTYPE with threads N"."""
    specs = [spec for plan in plans for spec in (plan.target, plan.draft)]
    return {
        _described(spec): spec.operators
        for spec in specs
        if isinstance(spec, HuggingFaceSpec) and spec.operators
    }


def _described(spec: HuggingFaceSpec) -> str:
    """Name what a choice of operators depends on, for points of a sweep may differ in it."""
    parts = [f"{spec.name} in {spec.dtype}"]
    if spec.without_layers:
        parts.append(f"without layers {', '.join(map(str, spec.without_layers))}")
    if spec.threads:
        parts.append(f"with threads {spec.threads}")
    return " ".join(parts)


def read_plans(results: Results) -> list[Plan]:
    """plan.json. Raises TestbedError when it cannot be read."""
    path = results.path / "plan.json"
    plans = read(path, list[Plan])
    if not plans:
        raise TestbedError(f"{path}: it has no point")
    return plans
