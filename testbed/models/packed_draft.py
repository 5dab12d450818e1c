"""Draft model in a compact file: its own layers in 8 bits, without what it shares with its target.

The file is in safetensors format. A matrix W, [rows, columns], is stored as two tensors: the int8
integers "W" and the float32 "W.scale", [rows], with W ≈ integers × scale. All other tensors are
stored in float32. Embeddings and head are those of the target and not stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from testbed.errors import TestbedError

PROPOSED = "draft_vocab_size"
"""Key in a model's configuration: it proposes this many of the first ids."""

Tensors = Mapping[str, NDArray[Any]]
_SCALE = ".scale"
_ROWS = 128  # rounded at a time: a copy of the head in fp32 would be the largest array of all


@dataclass(frozen=True)
class PackedDraft:
    """A draft without its embeddings."""

    weights: dict[str, NDArray[np.float32]]
    """Weights by their names in the network."""
    layers: list[int]
    """For each of its decoder layers, the index of the target's layer that it began as."""
    notes: dict[str, Any]
    """Origin and measurements."""
    proposed: int | None = None
    """It proposes only this many of the first ids (testbed.models.hf.draft_head); None: all."""


def quantise(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to integers in −127 … 127 with one scale per row.

    The error is at most half a scale.
    """
    scale = np.maximum(matrix.max(axis=1), -matrix.min(axis=1)) / np.float32(127)
    safe = np.where(scale > 0, scale, np.float32(1))
    integers = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), _ROWS):
        rows = slice(start, start + _ROWS)
        integers[rows] = np.rint(matrix[rows] / safe[rows, None])
    return integers, scale


def dequantise(integers: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix that `quantise` rounded, [rows, columns]."""
    return integers.astype(np.float32) * scale[:, None]


def pack(draft: PackedDraft, path: Path) -> None:
    """Write `draft` to `path`, its matrices in 8 bits."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, values in draft.weights.items():
        if values.ndim == 2:
            tensors[name], tensors[name + _SCALE] = quantise(values)
        else:
            tensors[name] = values
    header = {"layers": draft.layers, "notes": draft.notes, "proposed": draft.proposed}
    save_file(tensors, path, {"draft": json.dumps(header), "sha256": _digest(tensors)})


def unpack(path: Path) -> PackedDraft:
    """Read a file that `pack` wrote.

    Raises TestbedError when the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
            header, digest = json.loads(metadata["draft"]), metadata["sha256"]
        layers, notes, proposed = header["layers"], header["notes"], header.get("proposed")
    except Exception as error:  # safetensors has an exception of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TestbedError(
            f"cannot read the draft {path} ({reason}); allowed are files that "
            "scripts/distill_draft.py wrote"
        ) from error
    if _digest(tensors) != digest:
        raise TestbedError(f"the draft {path} is damaged: its SHA-256 must be {digest}")
    weights = {
        name: dequantise(values, tensors[name + _SCALE]) if values.ndim == 2 else values
        for name, values in tensors.items()
        if not name.endswith(_SCALE)
    }
    return PackedDraft(weights, layers, notes, proposed)


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
