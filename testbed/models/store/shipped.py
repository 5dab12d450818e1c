"""Conversion of the draft in this package to a model directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file

from testbed.errors import TestbedError
from testbed.models.packed_draft import PROPOSED, PackedDraft, unpack
from testbed.models.store.store import cache_dir, file_sha256, install, staging

DATA = Path(__file__).parents[1] / "data"
_WEIGHTS = "model.safetensors"


def shipped_draft(name: str, target: Path) -> Path:
    """Return the directory of the draft `name` in the store; build it unless it is there.

    `target` is the directory of the model that the draft was distilled from. The directory's name
    contains a digest of the packed file. Raises TestbedError when the file is missing or damaged,
    or does not fit the target.
    """
    packed = DATA / f"{name}.safetensors"
    if not packed.is_file():
        raise TestbedError(f"the package lacks {packed}; install the package again")
    final = f"{name}-{file_sha256(packed)[:16]}"
    path = cache_dir() / final
    if path.is_dir():
        return path
    with staging() as work:
        build(packed, target, work / "model")
        return install(work / "model", final)


def build(packed: Path, target: Path, into: Path) -> None:
    """Write a model directory in float32: the packed draft, and all it shares with `target`.

    Raises TestbedError when the file is damaged, or the draft was made for another target.
    """
    draft = unpack(packed)
    with safe_open(target / _WEIGHTS, "np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        strange = [n for n, values in draft.weights.items() if shapes.get(n) != values.shape]
        if strange:
            raise TestbedError(
                f"the draft {packed} does not fit the target in {target}, which has no "
                f"{strange[0]} of shape {draft.weights[strange[0]].shape}"
            )
        shared = {
            name: file.get_tensor(name)
            for name in shapes
            if ".layers." not in name and name not in draft.weights
        }
    into.mkdir()
    save_file(shared | draft.weights, into / _WEIGHTS, {"format": "pt"})
    (into / "config.json").write_text(json.dumps(_config(target, draft), indent=2))
    for path in target.iterdir():
        if path.suffix in {".json", ".jinja"} and path.name != "config.json":
            shutil.copy(path, into)


def _config(target: Path, draft: PackedDraft) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((target / "config.json").read_text())
    config["num_hidden_layers"] = len(draft.layers)
    if config.get("layer_types"):
        config["layer_types"] = [config["layer_types"][index] for index in draft.layers]
    if draft.proposed is not None:
        config[PROPOSED] = draft.proposed
    return config
