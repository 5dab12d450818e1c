"""A draft as it is shipped: its own layers in 8 bits, without what it has from its target.

A safetensors file. A matrix W, [rows, columns], is two tensors: the int8 integers "W" and the
float32 "W.scale", [rows], with W ≈ integers × scale; anything else is float32 as it is. Embeddings
and head are the target's.
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
"""In a model's configuration: how many of the first ids it proposes."""

Tensors = Mapping[str, NDArray[Any]]
_SCALE = ".scale"
_ROWS = 128  # at a time: a head in fp32 is the largest thing that a device holds


@dataclass(frozen=True)
class PackedDraft:
    """A draft without its embeddings."""

    weights: dict[str, NDArray[np.float32]]
    """By their names in the network."""
    layers: list[int]
    """Which of the target's decoder layers they began as, in order; all that it has."""
    notes: dict[str, Any]
    """Where it comes from and what was measured."""
    proposed: int | None = None
    """How many of the first ids it proposes; None: all. See testbed.models.hf.draft_head."""


def quantise(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers in −127 … 127 and a scale for each row; off by at most half a scale."""
    scale = np.maximum(matrix.max(axis=1), -matrix.min(axis=1)) / np.float32(127)
    safe = np.where(scale > 0, scale, np.float32(1))
    integers = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), _ROWS):
        rows = slice(start, start + _ROWS)
        integers[rows] = np.rint(matrix[rows] / safe[rows, None])
    return integers, scale


def dequantise(integers: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `quantise` was given, up to rounding."""
    return integers.astype(np.float32) * scale[:, None]


def pack(draft: PackedDraft, path: Path) -> None:
    """Write `draft` to `path`, its matrices in 8 bits."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, values in draft.weights.items():
        if values.ndim == 2:
            tensors[name], tensors[name + _SCALE] = quantise(values)
        else:
            tensors[name] = values
    told = {"layers": draft.layers, "notes": draft.notes, "proposed": draft.proposed}
    save_file(tensors, path, {"draft": json.dumps(told), "sha256": _digest(tensors)})


def unpack(path: Path) -> PackedDraft:
    """Read what `pack` wrote.

    Raises TestbedError when the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
            told, digest = json.loads(metadata["draft"]), metadata["sha256"]
        layers, notes, proposed = told["layers"], told["notes"], told.get("proposed")
    except Exception as error:  # safetensors has an exception of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TestbedError(
            f"Cannot read the draft {path} ({reason}); allowed are files that "
            "scripts/distill_draft.py wrote."
        ) from error
    if _digest(tensors) != digest:
        raise TestbedError(f"The draft {path} is damaged: its SHA-256 must be {digest}.")
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
