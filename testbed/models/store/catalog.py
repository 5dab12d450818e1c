"""Resolution of a model's name to a local directory, before the nodes start, which are offline."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.host.cache import existing
from testbed.models.gguf_headers import read_gguf
from testbed.models.safetensors_headers import weight_files
from testbed.models.spec import Device, Dtype, FileSpec, GgufSpec, HuggingFaceSpec
from testbed.models.store.fetch import DEFAULT_MODEL, default_path
from testbed.models.store.shipped import shipped_draft

DEFAULT_DRAFT = f"{DEFAULT_MODEL}-distilled"

_NAMED = (DEFAULT_MODEL, DEFAULT_DRAFT)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class KnownModel:
    """One row of `testbed models`."""

    name: str
    description: str
    ready: bool
    """True if a run can use it without a download."""


def describe() -> list[KnownModel]:
    """List the models that have a name of their own."""
    ready = existing(default_path()) == default_path()
    return [
        KnownModel(
            DEFAULT_MODEL, "SmolLM2-135M-Instruct (Apache-2.0), 49152 tokens; default target", ready
        ),
        KnownModel(DEFAULT_DRAFT, "eight layers distilled from it, 8 bits; default draft", ready),
        KnownModel("synthetic", "NumPy pair with an exactly known acceptance rate", True),
    ]


def place_model(reference: str, place: Callable[[str], str]) -> str:
    """Return a reference for `resolve`, with `place` applied to the path of a folder or file.

    A reference of the form of a Hugging Face id is returned as it is, unless there is a folder of
    that name.
    """
    placed = place(_at_home(reference))
    if reference in _NAMED or (_HUB_ID.fullmatch(reference) and not _is_local(placed)):
        return reference
    return placed


def resolve(reference: str, folder: Path | None = None) -> FileSpec:
    """Find or download the model that `reference` names.

    `reference` is an alias from `describe`, a local model directory, a .gguf file or a Hugging Face
    id "org/name" or "org/name@revision". The spec has `reference` as its name, and the type that
    the model is meant to run in. Paths are relative to `folder`, by default the working directory.
    Raises TestbedError when there is no such model, some of its files are missing, or the default
    model is not downloaded yet.
    """
    folder = folder or Path()
    if _is_gguf(reference) and reference not in _NAMED:
        file = folder / _at_home(reference)
        if not os.path.isdir(file):  # noqa: PTH112  Path's own raises for some names
            return GgufSpec(path=str(read_gguf(file.resolve(), reference).path), name=reference)
    path = _local_directory(reference, folder)
    weight_files(path, reference)
    own: Dtype = "int8" if reference == DEFAULT_DRAFT else "fp32"
    return HuggingFaceSpec(path=str(path), name=reference, dtype=own)


def with_options(
    spec: FileSpec,
    *,
    dtype: Dtype | None = None,
    without_layers: tuple[int, ...] = (),
    threads: int | None = None,
    device: Device = "cpu",
) -> FileSpec:
    """Return `spec` with these options; a `dtype` of None is the model's own.

    Raises TestbedError for options that the model's engine does not have.
    """
    if isinstance(spec, GgufSpec):
        if dtype or without_layers:
            raise TestbedError(
                f"model '{spec.name}' is a GGUF file, which is run as it is; leave "
                f"{'dtype' if dtype else 'without_layers'} out"
            )
        return msgspec.structs.replace(spec, threads=threads, device=device)
    return msgspec.structs.replace(
        spec,
        dtype=dtype or spec.dtype,
        without_layers=without_layers,
        threads=threads,
        device=device,
    )


def _is_local(path: str) -> bool:
    """Return True for a folder, and for a path that can only be a GGUF file."""
    return os.path.isdir(path) or _is_gguf(path)  # noqa: PTH112  Path's own raises for some names


def _at_home(reference: str) -> str:
    """Expand `~`, unless it names a user that does not exist."""
    return os.path.expanduser(reference)  # noqa: PTH111  Path's own raises for that


def _is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def _local_directory(reference: str, folder: Path) -> Path:
    if reference in _NAMED:
        if not default_path().is_dir():
            raise TestbedError(
                f"model '{reference}' is not in {default_path()}; run: testbed models fetch"
            )
        if reference == DEFAULT_MODEL:
            return default_path()
        return shipped_draft(DEFAULT_DRAFT, default_path())
    path = folder / _at_home(reference)
    if os.path.isdir(path):  # noqa: PTH112  Path's own raises for some names
        return path.resolve()
    if _HUB_ID.fullmatch(reference):
        from testbed.models.store.hub import download  # noqa: PLC0415  slow, and seldom needed

        return download(reference)
    raise TestbedError(
        f"there is no model '{reference}'; allowed are {', '.join(_NAMED)}, "
        "a model directory, a .gguf file and a Hugging Face id like org/name"
    )
