"""Load the model that a description names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from testbed.models.base import FileText, Model
from testbed.models.cpu.operators import with_operators
from testbed.models.spec import FileSpec, GgufSpec, ModelSpec, Role, ServedSpec, SyntheticSpec
from testbed.models.synthetic import SyntheticModel

if TYPE_CHECKING:
    from testbed.models.served.model import ServedModel


def load_model(spec: ModelSpec, role: Role) -> Model:
    """Build or load the model that `spec` describes; reads local files only.

    If its operators are not chosen yet, they are chosen first (testbed.models.cpu.operators).
    Raises TestbedError when there is no such model or it cannot be loaded.
    """
    if isinstance(spec, SyntheticSpec):
        return load_synthetic(spec, role)
    if isinstance(spec, ServedSpec):
        return _open_served(spec)
    if isinstance(spec, GgufSpec):
        from testbed.models.llamacpp.model import LlamaCppModel  # noqa: PLC0415  loads llama.cpp

        return LlamaCppModel(Path(spec.path), spec.name, threads=spec.threads, device=spec.device)
    from testbed.models.hf.model import HuggingFaceModel  # noqa: PLC0415  loads torch

    spec = with_operators(spec)
    return HuggingFaceModel(
        spec.path,
        spec.name,
        dtype=spec.dtype,
        without_layers=spec.without_layers,
        threads=spec.threads,
        device=spec.device,
        operator_from=spec.operators.from_tokens if spec.operators else None,
    )


_last_pair: dict[bytes, tuple[Model, Model]] = {}


def load_pair(draft: ModelSpec, target: ModelSpec) -> tuple[Model, Model]:
    """Load a draft and a target model as `load_model` does, or return those of the last call.

    One pair is kept, since the points of a sweep mostly share it.
    """
    key = msgspec.json.encode((draft, target))
    if key not in _last_pair:
        _last_pair.clear()  # first, so that two pairs never need memory
        _last_pair[key] = load_model(draft, "draft"), load_model(target, "target")
    return _last_pair[key]


def load_synthetic(spec: SyntheticSpec, role: Role) -> SyntheticModel:
    """Build one model of a synthetic pair.

    Raises TestbedError when no pair has the acceptance that `spec` gives.
    """
    return SyntheticModel(
        spec.vocabulary_size,
        spec.acceptance,
        spec.seed,
        role=role,
        name=spec.name,
        greedy_acceptance=spec.greedy_acceptance,
    )


def with_trial(spec: FileSpec) -> FileSpec:
    """Return `spec` with what is found out once on each machine: operators, or exactness.

    Raises TestbedError when the model cannot be loaded.
    """
    if isinstance(spec, GgufSpec):
        from testbed.models.llamacpp import trial  # noqa: PLC0415  loads llama.cpp

        return trial.with_trial(spec)
    return with_operators(spec)


def open_text(spec: FileSpec | ServedSpec) -> FileText:
    """Return tokenizer and limits of a model, without its weights.

    Raises TestbedError when they cannot be read, or no server answers as a target must.
    """
    if isinstance(spec, ServedSpec):
        return _open_served(spec)
    if isinstance(spec, GgufSpec):
        from testbed.models.llamacpp.text import open_gguf  # noqa: PLC0415  loads llama.cpp

        return open_gguf(spec.path, spec.name)
    from testbed.models.hf.directory import open_directory  # noqa: PLC0415  loads torch

    return open_directory(spec.path, spec.name)


@cache
def _open_served(spec: ServedSpec) -> ServedModel:
    """Return the model, checked once for all points of a sweep that use it."""
    from testbed.models.served.model import ServedModel  # noqa: PLC0415  seldom needed

    return ServedModel(spec.address, open_text(spec.text), spec.name)
