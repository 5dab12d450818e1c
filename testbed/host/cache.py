"""The folder of all that is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Directory of all that is kept between runs; TESTBED_CACHE names another."""
    root = os.environ.get("TESTBED_CACHE")
    return Path(root) if root else platformdirs.user_cache_path("testbed")


def existing(folder: Path) -> Path:
    """Return the folder if it is there, else the nearest above it that is."""
    # Path's own `exists` raises for a folder that we may not look into.
    return next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110


def can_be_written(folder: Path) -> bool:
    """Return True if files can be written to a folder, made if need be."""
    return os.access(existing(folder), os.W_OK | os.X_OK)
