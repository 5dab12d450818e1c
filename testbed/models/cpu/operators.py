"""Choice of the operators that a model multiplies with on this machine, made once and kept.

torch has private operators that are faster than its plain layers on many processors, slower on
some, and unsupported on others. Operators sum in different orders, so generations may depend on
the choice. It is therefore made once for a machine, a model's layout and type and a number of
threads, cached on disk, and stored in the plan of a run, which all its points, repetitions and
resumed sessions follow.

The trial runs in a process of its own, for three reasons: the launcher does not load torch, the
memory is returned, and an operator that crashes the process is recognised by that.
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import msgspec

from testbed.errors import TestbedError
from testbed.host.cache import cache_root
from testbed.host.cores import processors
from testbed.host.environment import instruction_sets, processor
from testbed.host.machine_errors import sentence
from testbed.host.process_endings import how_ended
from testbed.models.memory import Load, require_memory
from testbed.models.safetensors_headers import layout
from testbed.models.spec import HuggingFaceSpec, ModelSpec, OperatorChoice
from testbed.output.terminal import complain

_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    *(f"{library}_{what}" for library in ("ONEDNN", "DNNL") for what in (
        "MAX_CPU_ISA", "CPU_ISA_HINTS", "DEFAULT_FPMATH_MODE",
    )),
    "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR",
)  # fmt: skip
"""Environment variables that decide which operators there are, or how they round."""
_FAULTS = {
    getattr(signal, name)
    for name in ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
    if hasattr(signal, name)  # not on every system
}
"""Signals that a process receives for its own faults."""

AnySpec = TypeVar("AnySpec", bound=ModelSpec)
_made: dict[str, OperatorChoice] = {}
"""Choices made by this process, kept in case the cache cannot be written."""


def with_operators(spec: AnySpec) -> AnySpec:
    """Return `spec` with the choice for this machine, from the cache or from a trial.

    The result of a trial is cached. A `spec` that has a choice already, or nothing to choose, is
    returned as it is. Raises TestbedError when the model cannot be loaded.
    """
    if not isinstance(spec, HuggingFaceSpec) or spec.operators or not spec.has_choice:
        return spec
    key = _key(spec)
    if key not in _made:
        path = cache_root() / "operators" / f"{key}.json"
        _made[key] = _read(path) or _first(path, _try(spec))
    return msgspec.structs.replace(spec, operators=_made[key])


def machine() -> str:
    """Describe the processor, the version and settings that decide how operators round."""
    settings = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    instructions = hashlib.sha256(instruction_sets().encode()).hexdigest()[:8]
    return ", ".join(
        [
            processor(),
            f"{platform.machine()} with instruction sets {instructions}",
            f"torch {metadata.version('torch')}",
            *settings,
        ]
    )


def _key(spec: HuggingFaceSpec) -> str:
    """Return a digest of everything that a choice depends on."""
    threads = spec.threads or f"of {len(processors())}"
    try:
        described = layout(Path(spec.path), spec.name)
    except OSError as error:
        raise TestbedError(f"model '{spec.name}' cannot be read: {sentence(error)}") from None
    parts = [machine(), described, spec.dtype, spec.without_layers, threads]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _try(spec: HuggingFaceSpec) -> OperatorChoice:
    """Run the trial in another process.

    Raises TestbedError when there is too little memory or the model cannot be loaded.
    """
    require_memory([Load(spec, processes=1)])
    what = f"{spec.name} in {spec.dtype}"
    complain(f"choosing the operators for {what} on this machine, once")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "testbed.models.operator_trial",
            msgspec.json.encode(spec).decode(),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    if -done.returncode in _FAULTS and "bad_alloc" not in done.stderr:  # C++'s lack of memory
        name = signal.Signals(-done.returncode).name
        return OperatorChoice(
            None, f"plain layers: the operator ends the process by {name}", machine()
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [how_ended(done.returncode)]
        raise TestbedError(
            lines[-1].removeprefix("error: ")
            if done.returncode > 0
            else f"the trial of {what} was ended by {how_ended(done.returncode)}; run it again"
        )
    return msgspec.json.decode(done.stdout, type=OperatorChoice)


def _read(path: Path) -> OperatorChoice | None:
    """Read a cached choice; return None if there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=OperatorChoice)
    except (OSError, msgspec.MsgspecError):
        return None


def _first(path: Path, choice: OperatorChoice) -> OperatorChoice:
    """Cache a choice atomically and return it, or that of another process that was first.

    If the cache cannot be written, the choice holds for this process only.
    """
    if earlier := _read(path):
        return earlier
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_bytes(msgspec.json.encode(choice))
            written.replace(path)
    return choice
