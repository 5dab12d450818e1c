"""Locks on files and folders, each held by one process at a time.

Where the kernel has flock, it releases the lock however its process ends. Elsewhere the lock is a
file of its own: whoever creates it holds it. A process that is killed leaves it behind, and the
error names it.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

_PAUSE = 0.01  # seconds between two attempts to create the file of a lock
_PATIENCE = 60.0  # seconds; whoever writes holds a lock for milliseconds


def _flock() -> Any:
    """Return the module that has flock; None where the system has none."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None


class HeldError(Exception):
    """Another process holds the lock; the text is the remedy if that process was killed."""


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Lock a file or folder, which must exist, as long as the context lasts.

    With `wait`, wait for whoever holds the lock, else raise HeldError. Raises OSError when the path
    cannot be opened.
    """
    fcntl = _flock()
    if fcntl is None:
        with _by_file(path, wait=wait):
            yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise HeldError from None
        try:
            yield
        finally:  # a forked process, as for templates, keeps a copy that closing does not end
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def lock_file(path: Path) -> Path:
    """Return the path of the file that stands for a lock where there is no flock."""
    return path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")


@contextmanager
def _by_file(path: Path, *, wait: bool) -> Iterator[None]:
    file, deadline = lock_file(path), time.monotonic() + _PATIENCE
    while True:
        try:
            file.open("x").close()
            break
        except FileExistsError:
            if not wait:
                raise HeldError(f"; remove {file} if it was killed") from None
            if time.monotonic() > deadline:
                raise TestbedError(
                    f"{file}: {path.name} has been locked for {_PATIENCE:g} s; remove the file if "
                    "no run is going on"
                ) from None
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
