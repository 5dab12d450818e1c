"""The safetensors files of a model directory: are they all there, whole, and how much is in them?

Only their headers are read: 8 bytes that say how long it is, and JSON. Format:
https://huggingface.co/docs/safetensors#format
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


@dataclass(frozen=True)
class Weights:
    """What the headers say."""

    floats: int
    """Numbers that take the size of the type they are loaded in."""
    other_bytes: int
    """The rest, such as masks, which stays as it is."""
    largest: int
    """Numbers in the largest matrix, mostly that of the embedding or the head."""

    def size(self, bytes_per_float: int) -> int:
        """Bytes of memory once loaded."""
        return self.floats * bytes_per_float + self.other_bytes


def weight_files(model: Path, name: str) -> list[Path]:
    """The files that hold the weights: one, or what the index names.

    Raises TestbedError when there are none or some are missing.
    """
    whole, index = model / "model.safetensors", model / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise TestbedError(
            f"Model '{name}' has no model.safetensors in {model}; "
            "other weight formats can run code and are not loaded."
        )
    try:
        files = sorted(
            {str(file) for file in json.loads(index.read_bytes())["weight_map"].values()}
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TestbedError(
            f"Cannot read {index} ({type(error).__name__}); fetch the model again."
        ) from error
    missing = [file for file in files if not (model / file).is_file()]
    if missing:
        raise TestbedError(
            f"Model '{name}' lacks {len(missing)} of its {len(files)} weight files in {model}: "
            f"{missing[0]} is not there; fetch the model again."
        )
    return [model / file for file in files]


def read_weights(model: Path, name: str) -> Weights:
    """What the model's weight files hold. Raises TestbedError when one is missing or damaged."""
    floats = other = largest = 0
    for file in weight_files(model, name):
        for tensor in _tensors(file, name):
            if tensor["dtype"] in _FLOATS:
                numbers = math.prod(tensor["shape"])
                floats += numbers
                largest = max(largest, numbers)
            else:
                begin, end = tensor["data_offsets"]
                other += end - begin
    return Weights(floats, other, largest)


def _tensors(file: Path, name: str) -> list[dict[str, Any]]:
    """The entries of a header."""
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            if length > _LONGEST_HEADER:
                raise ValueError("no header")
            header = json.loads(content.read(length))
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        size = 8 + length + max(entry["data_offsets"][1] for entry in tensors)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise TestbedError(
            f"Model '{name}' has a damaged weight file, {file} ({type(error).__name__}); "
            "fetch the model again."
        ) from error
    if file.stat().st_size != size:
        raise TestbedError(
            f"Model '{name}' has a damaged weight file, {file}: {file.stat().st_size} of {size} "
            "bytes; fetch the model again."
        )
    return tensors
