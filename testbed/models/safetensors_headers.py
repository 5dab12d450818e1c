"""Headers of the safetensors files of a model directory: completeness, types, sizes.

Only the headers are read: 8 bytes with the header's length, then JSON. Format:
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
    """The part of an index file that is needed."""

    weight_map: dict[str, str]
    """The file of each tensor."""


class _Tensor(msgspec.Struct):
    """One tensor's entry in a header."""

    dtype: str
    shape: list[Size]
    data_offsets: tuple[Size, Size]


@dataclass(frozen=True)
class Weights:
    """Sizes of a model's tensors, summed over all headers."""

    floats: int
    """Count of floating-point numbers; they are converted to the type that the model runs in."""
    other_bytes: int
    """Bytes of all other tensors, such as masks, which are not converted."""
    largest: int
    """Count of numbers in the largest matrix, usually the embedding or the head."""

    def size(self, bytes_per_float: int) -> int:
        """Return the bytes of memory that the loaded tensors take."""
        return self.floats * bytes_per_float + self.other_bytes


def weight_files(model: Path, name: str) -> list[Path]:
    """Return the files that hold the weights: a single one, or those that the index names.

    Raises TestbedError when there are none or some are missing.
    """
    whole, index = model / "model.safetensors", model / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise TestbedError(
            f"model '{name}' has no model.safetensors in {model}; "
            "other weight formats can run code and are not loaded"
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
            f"model '{name}' lacks {len(missing)} of its {len(files)} weight files in {model}: "
            f"{missing[0]} is not there; fetch the model again"
        )
    return [model / file for file in files]


def layout(model: Path, name: str) -> str:
    """Return a digest of a model's configuration and its tensors' names, shapes and types.

    It does not cover the numbers in the tensors. Raises TestbedError when a weight file is missing.
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
    """Sum the sizes in all weight files. Raises TestbedError if one is missing or damaged."""
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
    """Return the type of each tensor by its name.

    Raises TestbedError when a weight file is missing or damaged.
    """
    return {
        key: tensor.dtype
        for file in weight_files(model, name)
        for key, tensor in _tensors(file, name).items()
    }


def _tensors(file: Path, name: str) -> dict[str, _Tensor]:
    """Return the tensors in a file's header by name, after checking the size of the file."""
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
