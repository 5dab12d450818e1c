"""A trial of a wire in a throw-away sandbox, built as a run builds it."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from testbed.emulation.sandbox import try_in_sandbox
from testbed.errors import TestbedError


class Report(msgspec.Struct):
    """The result of a trial."""

    realtime: bool
    """Whether the process that carries the frames was given real-time priority."""
    delay: float
    """Median time in seconds that a frame takes through a wire that asks for none."""


def try_wire(backend: str, patience: float) -> Report:
    """Build a wire of this backend and send frames through it.

    patience: seconds. Raises TestbedError with the reason when it does not carry them.
    """
    argv = [sys.executable, "-m", "testbed.emulation.wire_probe", backend]
    try:
        done = try_in_sandbox(argv, patience)
    except subprocess.TimeoutExpired:
        raise TestbedError(f"a trial of {backend} did not end within {patience:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise TestbedError(said[-1] if said else f"exit code {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Report)
