"""Paths of files that a scenario names, resolved against its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from testbed.links.files import place_files
from testbed.models.compute.profiles import place_profiles
from testbed.models.served.address import place_address
from testbed.models.store.catalog import place_model
from testbed.scenario.schema import Compute, Models, RealModel, ScenarioSpec, TargetModel

M = TypeVar("M", bound=RealModel)


def with_files_placed(spec: ScenarioSpec, folder: Path) -> ScenarioSpec:
    """Return the spec with the path of each file absolute, relative ones resolved in `folder`."""

    def place(path: str) -> str:
        return str((folder / path).absolute())

    compute = msgspec.to_builtins(spec.compute)
    return msgspec.structs.replace(
        spec,
        links=place_files(spec.links, place),
        compute=msgspec.convert(place_profiles(compute, place), type=Literal["measured"] | Compute),
        models=_with_models_placed(spec.models, place),
    )


def _with_models_placed(models: Models, place: Callable[[str], str]) -> Models:
    target, draft = _placed(models.target, place), _placed(models.draft, place)
    if isinstance(target, TargetModel) and target.served:
        served = place_address(target.served, place)
        target = msgspec.structs.replace(target, served=served)
    return msgspec.structs.replace(models, target=target, draft=draft)


def _placed(model: str | M | None, place: Callable[[str], str]) -> str | M | None:
    if isinstance(model, RealModel):
        return msgspec.structs.replace(model, model=place_model(model.model, place))
    return model and place_model(model, place)
