"""Atomic writing of safetensors files. Importing this loads torch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file


def save_whole(
    tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file atomically: `path` is always the old file or the new one."""
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, name, metadata)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
