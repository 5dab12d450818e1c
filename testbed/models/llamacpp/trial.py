"""Trial of a GGUF file on this machine: whether llama.cpp runs it, and how exactly.

python -m testbed.models.llamacpp.trial SPEC

SPEC is a testbed.models.spec.GgufSpec in JSON; the result is printed as JSON. In a process of its
own, since llama.cpp ends the process for some files.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.host.cores import usable_cores
from testbed.host.environment import instruction_sets, processor
from testbed.host.machine_errors import sentence
from testbed.host.process_endings import how_ended
from testbed.models.block_difference import block_difference
from testbed.models.llamacpp.library import VERSION, library
from testbed.models.llamacpp.model import LlamaCppModel
from testbed.models.spec import GgufSpec
from testbed.models.trials import faulted, once, result, run
from testbed.models.weights import digest
from testbed.output.terminal import complain


class Tried(msgspec.Struct, frozen=True):
    """Result of a trial."""

    block_tv: float


def with_trial(spec: GgufSpec) -> GgufSpec:
    """Return `spec` with its block_tv on this machine, from the cache or from a trial.

    Raises TestbedError when llama.cpp cannot run the file.
    """
    library()  # the trial may be long past, and so may the library
    if spec.block_tv is not None:
        return spec
    tried = once("llamacpp", _key(spec), Tried, lambda: _try(spec))
    return msgspec.structs.replace(spec, block_tv=tried.block_tv)


def _key(spec: GgufSpec) -> str:
    """Return a digest of everything that a trial depends on."""
    parts = [
        VERSION, digest(spec), processor(), instruction_sets(), spec.threads or usable_cores(),
        spec.device,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _try(spec: GgufSpec) -> Tried:
    complain(f"trying {spec.name} on this machine, once")
    done = run("testbed.models.llamacpp.trial", spec)
    if faulted(done):
        raise TestbedError(
            f"llama.cpp cannot run model '{spec.name}': its process ended by "
            f"{how_ended(done.returncode)}"
        )
    return result(done, Tried, spec.name)


def main() -> None:
    """Print the result for the model in the command line."""
    spec = msgspec.json.decode(sys.argv[1], type=GgufSpec)
    try:
        model = LlamaCppModel(Path(spec.path), spec.name, threads=spec.threads, device=spec.device)
        tried = Tried(block_difference(model))
    except (TestbedError, MemoryError) as error:
        sys.exit(f"error: {sentence(error)}")
    print(msgspec.json.encode(tried).decode())


if __name__ == "__main__":
    main()
