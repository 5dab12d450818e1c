"""llama.cpp's library, as the package xllamacpp brings it.

The wheel's extension exports llama.cpp's own C functions, and only they are used: the package is
not imported. Their declarations are those of one build, so the package's version must be the one
that setup.cfg names, and the library's versions and default values must be as declared.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import re
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.host.environment import instruction_sets
from testbed.models.llamacpp.declarations import DEFAULTS, FUNCTIONS, LogCallback

PACKAGE, VERSION = "xllamacpp", "2026.10.11549"
INSTALL = "pip install .[llama]"
_VERSIONS = {"llama_version": b"0.6.0-dev", "ggml_version": b"0.26.0"}
_NEEDED = "avx2", "f16c", "fma"
"""Instruction sets of x86-64 that the library uses without asking whether they are there."""
_WARNING, _ERROR = 3, 4
_KEPT = 20
_said: deque[tuple[int, str]] = deque(maxlen=_KEPT)
"""Last warnings and errors of the library, each with its level."""
_ORIGIN = re.compile(r"^\w+: (error loading model: )?")
"""Beginning of its messages: the name of a function, and what is said anyway."""


@cache
def library() -> ctypes.CDLL:
    """Load the library. Raises TestbedError when it is missing, or another than the declared."""
    path = _path()
    if platform.machine() == "x86_64":
        missing = [name for name in _NEEDED if name not in instruction_sets().split()]
        if missing:
            raise TestbedError(
                f"llama.cpp cannot run here: this processor lacks {', '.join(missing)}; take a "
                "model directory instead of a GGUF file"
            )
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except OSError as error:
        raise TestbedError(
            f"llama.cpp's library does not load ({error}); install the library that is named there"
        ) from None
    except AttributeError as error:
        raise _differs(str(error)) from None
    _compare(loaded)
    loaded.llama_log_set(_log, None)
    # Else it starts a debugger before it ends a process.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    loaded.llama_backend_init()
    return loaded


def reason() -> str:
    """Return the library's first error, else its last warning, and forget all."""
    # Of several errors the first is the cause.
    said = [text for level, text in _said if level == _ERROR]
    said += [text for _, text in reversed(_said)]
    _said.clear()
    return _ORIGIN.sub("", said[0]) if said else "llama.cpp gives no reason"


def refusal(name: str, path: Path) -> TestbedError:
    """Return the error for the file of model `name`, which the library has just refused."""
    return TestbedError(
        f"model '{name}' in {path} cannot be used: {reason()} ({PACKAGE} {VERSION}); convert it "
        "again, or give another file"
    )


def installed() -> bool:
    """Return True if the package is installed, in whatever version."""
    return importlib.util.find_spec(PACKAGE) is not None


def _path() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TestbedError(f"GGUF files are run by llama.cpp, which is not installed: {INSTALL}")
    try:
        found = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:  # a folder of that name
        found = "of no version"
    if found != VERSION:
        raise _differs(f"{PACKAGE} {found} is installed, and {VERSION} is needed")
    paths = list(Path(spec.submodule_search_locations[0]).glob(f"{PACKAGE}*.so"))
    if len(paths) != 1:
        raise _differs(f"{PACKAGE} has {len(paths)} extensions, not one")
    return paths[0]


def _compare(loaded: ctypes.CDLL) -> None:
    for name, expected in _VERSIONS.items():
        if (found := getattr(loaded, name)()) != expected:
            raise _differs(f"{name} is {found!r}, not {expected!r}")
    for name, defaults in DEFAULTS.items():
        params: Any = getattr(loaded, name)()
        for field, _ in params._fields_:
            found = getattr(params, field)
            if (found or None) != (defaults.get(field) or None):
                raise _differs(f"{field} of {name} is {found}, not {defaults.get(field)}")


def _differs(how: str) -> TestbedError:
    return TestbedError(f"llama.cpp is not the build that is declared here ({how}): {INSTALL}")


def _listen(level: int, text: bytes, _: object) -> None:
    if level in (_WARNING, _ERROR) and (line := text.decode("utf-8", "replace").strip()):
        _said.append((level, line))


_log = LogCallback(_listen)
