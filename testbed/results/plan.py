"""plan.json: models, prompts and order of runs, which the launcher prepares for the sandboxes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from testbed.errors import TestbedError
from testbed.files.stored_json import read
from testbed.models.llamacpp.library import PACKAGE, VERSION
from testbed.models.spec import GgufSpec, HuggingFaceSpec, ModelSpec, OperatorChoice
from testbed.results.directory import Results
from testbed.results.rows import Backend
from testbed.scenario.run_order import RunId
from testbed.scenario.sweep import Values


class Plan(msgspec.Struct):
    """The plan of one point of the sweep, made outside the sandbox, where models can be fetched."""

    point: Values
    """The values of the sweep's keys, as the scenario wrote them, before it was resolved."""
    backend: Backend
    """The backend of all runs, the same at every point."""
    target: ModelSpec
    """The target model with what its trial on this machine found: operators, or block_tv."""
    draft: ModelSpec
    """The draft model, likewise."""
    prompts: list[str]
    """Token ids of each prompt by the target's tokenizer, as text: "5 17 3".

    The chat template is applied where the scenario asks for it."""
    end_tokens: list[int]
    """Token ids at which the target ends; empty where generations always reach their limit."""
    methods: list[str] = []
    """Labels of the methods, in the order of the scenario."""
    order: list[RunId] = []
    """The runs, in the order in which they take place."""
    capture: bool = False
    """True if frames are recorded."""
    warnings: list[str] = []
    """Warnings about the models, for readers of the results."""
    validated: str = ""
    """The range in which simulation was validated when the run began; empty where it emulates."""


def operator_choices(plans: Iterable[Plan]) -> dict[str, OperatorChoice]:
    """Return the operators of each model that had a choice, by "NAME in DTYPE with threads N"."""
    specs = [spec for plan in plans for spec in (plan.target, plan.draft)]
    return {
        _described(spec): spec.operators
        for spec in specs
        if isinstance(spec, HuggingFaceSpec) and spec.operators
    }


def _described(spec: HuggingFaceSpec) -> str:
    """Return a name of the model with all that a choice of operators depends on.

    Points of a sweep may differ in it.
    """
    parts = [f"{spec.name} in {spec.dtype}"]
    if spec.without_layers:
        parts.append(f"without layers {', '.join(map(str, spec.without_layers))}")
    if spec.threads:
        parts.append(f"with threads {spec.threads}")
    return " ".join(parts)


def engine_versions(plans: Iterable[Plan]) -> dict[str, str]:
    """Return the versions of the engines that are used and not part of every installation."""
    specs = [spec for plan in plans for spec in (plan.target, plan.draft)]
    if any(isinstance(spec, GgufSpec) for spec in specs):
        return {"llama.cpp": f"{PACKAGE} {VERSION}"}
    return {}


def read_plans(results: Results) -> list[Plan]:
    """Read plan.json. Raises TestbedError when it cannot be read or has no point."""
    path = results.path / "plan.json"
    plans = read(path, list[Plan])
    if not plans:
        raise TestbedError(f"{path}: it has no point")
    return plans
