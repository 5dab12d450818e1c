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
from importlib import metadata
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.host.cores import processors
from testbed.host.environment import instruction_sets, processor
from testbed.host.machine_errors import sentence
from testbed.models.safetensors_headers import layout
from testbed.models.spec import HuggingFaceSpec, OperatorChoice
from testbed.models.trials import faulted, once, result, run
from testbed.output.terminal import complain

_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    *(f"{library}_{what}" for library in ("ONEDNN", "DNNL") for what in (
        "MAX_CPU_ISA", "CPU_ISA_HINTS", "DEFAULT_FPMATH_MODE",
    )),
    "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR",
)  # fmt: skip
"""Environment variables that decide which operators there are, or how they round."""


def with_operators(spec: HuggingFaceSpec) -> HuggingFaceSpec:
    """Return `spec` with the choice for this machine, from the cache or from a trial.

    The result of a trial is cached. A `spec` that has a choice already, or nothing to choose, is
    returned as it is. Raises TestbedError when the model cannot be loaded.
    """
    if spec.operators or not spec.has_choice:
        return spec
    choice = once("operators", _key(spec), OperatorChoice, lambda: _try(spec))
    return msgspec.structs.replace(spec, operators=choice)


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
    what = f"{spec.name} in {spec.dtype}"
    complain(f"choosing the operators for {what} on this machine, once")
    done = run("testbed.models.operator_trial", spec)
    if faulted(done) and "bad_alloc" not in done.stderr:  # C++'s lack of memory
        name = signal.Signals(-done.returncode).name
        return OperatorChoice(
            None, f"plain layers: the operator ends the process by {name}", machine()
        )
    return result(done, OperatorChoice, what)
