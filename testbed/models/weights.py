"""Weights of a model: how many there are, and the bytes that they take."""

from __future__ import annotations

import hashlib
from pathlib import Path

from testbed.models.gguf_headers import read_gguf
from testbed.models.safetensors_headers import layout, read_weights
from testbed.models.spec import Dtype, FileSpec, GgufSpec, HuggingFaceSpec

BYTES: dict[Dtype, int] = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 5}
"""Most bytes per weight: int8 weights are loaded in fp32, then replaced matrix by matrix."""
MOST_TRIED = 2**30
"""Most bytes of layers that an operator is tried on; the trial holds these layers twice."""
_MOST_READ = 2**26
"""Most bytes of a file that is read whole; tokenizers take up to half as many."""


def count(spec: FileSpec) -> int:
    """Return the number of weights in a model's files."""
    if isinstance(spec, GgufSpec):
        return read_gguf(Path(spec.path), spec.name).numbers
    return read_weights(Path(spec.path), spec.name).floats


def digest(spec: FileSpec) -> str:
    """Return a digest of what a model's files are, without the numbers in them.

    It covers the content of all files but the weights; of a GGUF file, and of others that are as
    large as weights, size and time.
    """
    path = Path(spec.path)
    if isinstance(spec, GgufSpec):
        return _status(path)
    found = hashlib.sha256(layout(path, spec.name).encode())
    for file in sorted(path.iterdir()):
        if file.is_file() and file.suffix != ".safetensors":
            small = file.stat().st_size <= _MOST_READ
            content = hashlib.sha256(file.read_bytes()).hexdigest() if small else _status(file)
            found.update(f"{file.name} {content}".encode())
    return found.hexdigest()


def _status(file: Path) -> str:
    status = file.stat()
    return f"{file} {status.st_size} {status.st_mtime_ns}"


def on_disk(spec: FileSpec) -> int:
    """Return the bytes of a model's files."""
    path = Path(spec.path)
    files = [path] if path.is_file() else [each for each in path.iterdir() if each.is_file()]
    return sum(each.stat().st_size for each in files)


def in_memory(spec: FileSpec) -> int:
    """Return the most bytes that the weights take in a process that loads them."""
    if isinstance(spec, GgufSpec):
        return read_gguf(Path(spec.path), spec.name).size
    return _converted(spec)


def _converted(spec: HuggingFaceSpec) -> int:
    """Return the bytes of weights in the type that the model runs in.

    On a CPU the largest matrix is held twice while it is reordered, and permanently where it is
    both embedding and head. While operators are tried, layers of up to MOST_TRIED bytes are
    held twice; where short passes use plain layers and longer ones the operator, all layers
    are (testbed.models.cpu.operators).
    """
    weights = read_weights(Path(spec.path), spec.name)
    size = weights.size(BYTES[spec.dtype])
    if spec.device == "cpu":
        choice = spec.operators
        tried = MOST_TRIED * spec.has_choice
        twice = tried if choice is None else size * ((choice.from_tokens or 1) > 1)
        size += max(weights.largest * BYTES[spec.dtype], min(twice, size))
    return size
