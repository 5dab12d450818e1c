"""The draft that comes with the package, made into a model directory like any other."""

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
    """The directory of the draft `name` in the store, built unless it is there.

    `target` is the directory of the model it was distilled from. Another file of that name makes
    another directory. Raises TestbedError when the file or the target doesn't fit.
    """
    packed = DATA / f"{name}.safetensors"
    if not packed.is_file():
        raise TestbedError(f"The package lacks {packed}; install it anew.")
    final = f"{name}-{file_sha256(packed)[:16]}"
    path = cache_dir() / final
    if path.is_dir():
        return path
    with staging() as work:
        build(packed, target, work / "model")
        return install(work / "model", final)


def build(packed: Path, target: Path, into: Path) -> None:
    """Write the packed draft and what it shares with `target` as a model directory, float32.

    Raises TestbedError when the file is damaged or of a draft of another target.
    """
    draft = unpack(packed)
    with safe_open(target / _WEIGHTS, "np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        strange = [n for n, values in draft.weights.items() if shapes.get(n) != values.shape]
        if strange:
            raise TestbedError(
                f"The draft {packed} does not fit the target in {target}, which has no "
                f"{strange[0]} of shape {draft.weights[strange[0]].shape}."
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
