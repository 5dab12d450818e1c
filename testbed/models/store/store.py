"""Where converted models live on disk, and how one gets there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import TestbedError
from testbed.host.cache import cache_root

_STAGING = ".staging-"


def cache_dir() -> Path:
    """Directory of the stored models."""
    return cache_root() / "models"


@contextmanager
def staging() -> Iterator[Path]:
    """A private directory on the store's file system, removed again whatever happens.

    Raises TestbedError when the store cannot be written.
    """
    cache = cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=cache) as name:
            handle = os.open(name, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)  # says that its owner lives, see _sweep
                yield Path(name)
            finally:
                os.close(handle)
    except OSError as error:
        raise TestbedError(
            f"Cannot write the model cache {cache} ({error.strerror or error}); "
            "make it writable or name another place in TESTBED_CACHE."
        ) from error


def install(model: Path, name: str) -> Path:
    """Move the finished directory `model` into the store as `name`; returns its new path.

    When another process installed `name` first, its copy stays and `model` is left to staging.
    """
    final = cache_dir() / name
    try:
        model.rename(final)
    except OSError:
        if not final.is_dir():
            raise
    return final


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sweep(cache: Path) -> None:
    """Remove the staging directories of processes that were killed: nobody holds their lock."""
    for stale in cache.glob(f"{_STAGING}*"):
        try:
            handle = os.open(stale, os.O_RDONLY)
        except FileNotFoundError:  # its owner has just finished
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(stale, ignore_errors=True)
        finally:
            os.close(handle)
