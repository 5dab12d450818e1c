"""The safetensors files of a model directory: are they all there, whole, and how much is in them?

Only their headers are read: 8 bytes that say how long it is, and JSON. Format:
https://huggingface.co/docs/safetensors#format
"""

from __future__ import annotations

import hashlib
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from testbed.errors import TestbedError
from testbed.files.stored_json import decode, read

_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Index(msgspec.Struct):
    """An index, as far as it is needed."""

    weight_map: dict[str, str]
    """The file of each tensor."""


class _Tensor(msgspec.Struct):
    """An entry of a header."""

    dtype: str
    shape: list[Size]
    data_offsets: tuple[Size, Size]


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
        files = sorted(set(read(index, _Index).weight_map.values()))
    except TestbedError as error:
        raise TestbedError(f"{error}; fetch the model again") from None
    if strange := [file for file in files if Path(file).name != file]:
        raise TestbedError(
            f"{index}: it names the weight file {reprlib.repr(strange[0])}; only files beside it "
            "are read"
        )
    missing = [file for file in files if not (model / file).is_file()]
    if missing:
        raise TestbedError(
            f"Model '{name}' lacks {len(missing)} of its {len(files)} weight files in {model}: "
            f"{missing[0]} is not there; fetch the model again."
        )
    return [model / file for file in files]


def layout(model: Path, name: str) -> str:
    """A digest of what matrices a model has, of which shapes and types, not of their numbers.

    Raises TestbedError when a weight file is missing.
    """
    digest = hashlib.sha256()
    for file in (model / "config.json", *weight_files(model, name)):
        with file.open("rb") as content:
            length = file.stat().st_size
            if file.suffix != ".json":
                length = min(int.from_bytes(content.read(8), "little"), _LONGEST_HEADER)
            digest.update(content.read(length))
    return digest.hexdigest()


def read_weights(model: Path, name: str) -> Weights:
    """What the model's weight files hold. Raises TestbedError when one is missing or damaged."""
    floats = other = largest = 0
    for file in weight_files(model, name):
        for tensor in _tensors(file, name).values():
            if tensor.dtype in _FLOATS:
                numbers = math.prod(tensor.shape)
                floats += numbers
                largest = max(largest, numbers)
            else:
                begin, end = tensor.data_offsets
                other += end - begin
    return Weights(floats, other, largest)


def tensor_types(model: Path, name: str) -> dict[str, str]:
    """The type of each tensor. Raises TestbedError when a weight file is missing or damaged."""
    return {
        key: tensor.dtype
        for file in weight_files(model, name)
        for key, tensor in _tensors(file, name).items()
    }


def _tensors(file: Path, name: str) -> dict[str, _Tensor]:
    """The entries of a header."""
    where = f"{file}: model '{name}' has a damaged weight file"
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            header = content.read(length) if length <= _LONGEST_HEADER else b""
    except OSError as error:
        raise TestbedError(f"{where}: {error.strerror}; fetch the model again") from None
    try:
        entries = decode(header, dict[str, msgspec.Raw], "its header")
        tensors = {
            key: decode(bytes(entry), _Tensor, f"its header, {reprlib.repr(key)}")
            for key, entry in entries.items()
            if key != "__metadata__"
        }
    except TestbedError as error:
        raise TestbedError(f"{where}: {error}; fetch the model again") from None
    size = 8 + length + max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if not tensors:
        raise TestbedError(f"{where}: it holds no tensor; fetch the model again")
    if file.stat().st_size != size:
        raise TestbedError(f"{where}: {file.stat().st_size} of {size} bytes; fetch the model again")
    return tensors
