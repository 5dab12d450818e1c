"""Trials of a model on this machine: made once, in a process of their own, and cached on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from testbed.errors import TestbedError
from testbed.host.cache import cache_root
from testbed.host.process_endings import how_ended
from testbed.models.memory import Load, require_memory
from testbed.models.spec import FileSpec

T = TypeVar("T")
_FAULTS = {
    getattr(signal, name)
    for name in ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
    if hasattr(signal, name)  # not on every system
}
"""Signals that a process receives for its own faults."""
_made: dict[tuple[str, str], Any] = {}
"""Results of this process, kept in case the cache cannot be written."""


def once(folder: str, key: str, kind: type[T], make: Callable[[], T]) -> T:
    """Return the cached result of a trial, else that of `make`, which is cached.

    `key` is a digest of everything that the result depends on; `folder` is that of all such trials.
    """
    if (folder, key) not in _made:
        path = cache_root() / folder / f"{key}.json"
        _made[folder, key] = _read(path, kind) or _first(path, kind, make())
    found: T = _made[folder, key]
    return found


def run(module: str, spec: FileSpec) -> subprocess.CompletedProcess[str]:
    """Run a trial of `spec`, by a module that prints its result as JSON.

    Raises TestbedError when there is too little memory.
    """
    require_memory([Load(spec, processes=1)])
    return subprocess.run(
        [sys.executable, "-m", module, msgspec.json.encode(spec).decode()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def faulted(done: subprocess.CompletedProcess[str]) -> bool:
    """Return True if the process was ended for a fault of its own."""
    return -done.returncode in _FAULTS


def result(done: subprocess.CompletedProcess[str], kind: type[T], what: str) -> T:
    """Return what a trial printed. Raises TestbedError, its own or naming `what`, if it failed."""
    if done.returncode > 0:
        lines = done.stderr.strip().splitlines() or [how_ended(done.returncode)]
        raise TestbedError(lines[-1].removeprefix("error: "))
    if done.returncode:
        raise TestbedError(
            f"the trial of {what} was ended by {how_ended(done.returncode)}; run it again"
        )
    return msgspec.json.decode(done.stdout, type=kind)


def _read(path: Path, kind: type[T]) -> T | None:
    """Read a cached result; return None if there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _first(path: Path, kind: type[T], made: T) -> T:
    """Cache a result atomically and return it, or that of another process that was first.

    If the cache cannot be written, the result holds for this process only.
    """
    if earlier := _read(path, kind):
        return earlier
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_bytes(msgspec.json.encode(made))
            written.replace(path)
    return made
