"""Folder of everything that is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Return the folder of everything kept between runs; TESTBED_CACHE overrides the default."""
    root = os.environ.get("TESTBED_CACHE")
    return Path(root) if root else platformdirs.user_cache_path("testbed")


def existing(folder: Path) -> Path:
    """Return the folder if it exists, else the nearest one above it that does."""
    # Path's own `exists` raises in a folder that this user may not search.
    return next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110


def can_be_written(folder: Path) -> bool:
    """Return True if files can be written to a folder, which may have to be made first."""
    return os.access(existing(folder), os.W_OK | os.X_OK)
