"""Directory of converted models, to which each is added atomically."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.errors import TestbedError
from testbed.files.lock import HeldError, locked
from testbed.host.cache import cache_root

_STAGING = ".staging-"


def cache_dir() -> Path:
    """Return the directory of the stored models, which may not exist yet."""
    return cache_root() / "models"


@contextmanager
def staging() -> Iterator[Path]:
    """Yield a private directory on the store's file system; remove it at the end in any case.

    Raises TestbedError when the store cannot be written.
    """
    cache = cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        with (
            tempfile.TemporaryDirectory(prefix=_STAGING, dir=cache) as name,
            locked(Path(name), wait=True),  # shows `_sweep` that its owner is alive
        ):
            yield Path(name)
    except OSError as error:
        raise TestbedError(
            f"cannot write the model cache {cache} ({error.strerror or error}); "
            "make it writable, or name another directory in TESTBED_CACHE"
        ) from error


def install(model: Path, name: str) -> Path:
    """Move the finished directory `model` into the store as `name`; return its new path.

    If another process installed `name` first, its copy stays, and `model` is removed with staging.
    """
    final = cache_dir() / name
    try:
        model.rename(final)
    except OSError:
        if not final.is_dir():
            raise
    return final


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sweep(cache: Path) -> None:
    """Remove the staging directories of killed processes, which no longer hold their locks."""
    for stale in cache.glob(f"{_STAGING}*"):
        # A missing one has just been removed by its owner.
        with suppress(FileNotFoundError, HeldError), locked(stale, wait=False):
            shutil.rmtree(stale, ignore_errors=True)
