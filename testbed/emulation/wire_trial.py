"""Trial of a backend: a wire in a throw-away sandbox, built as a run builds it."""

from __future__ import annotations

import sys

import msgspec

from testbed.emulation.sandbox import try_in_sandbox
from testbed.host.realtime import PATIENCE

_PATIENCE = 3 * PATIENCE  # two for the tries to boot a guest, one for a frame to cross


class Report(msgspec.Struct):
    """The result of a trial."""

    realtime: bool
    """True if the process that carries the frames has real-time priority."""
    delay: float
    """Median time in seconds that a frame takes through a wire without delay."""


def try_wire(backend: str) -> Report:
    """Build a wire of this backend and send frames through it.

    Raises TestbedError with the reason when it does not carry them.
    """
    argv = [sys.executable, "-m", "testbed.emulation.wire_probe", backend]
    return msgspec.json.decode(try_in_sandbox(argv, backend, _PATIENCE), type=Report)
