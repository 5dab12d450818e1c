"""Descriptions of how a process ended."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from testbed.host.machine_errors import TOO_LARGE, TOO_LONG

_LIMITS: dict[int, str] = {
    getattr(signal, name): why
    for name, why in (("SIGXFSZ", TOO_LARGE), ("SIGXCPU", TOO_LONG))
    if hasattr(signal, name)  # not on every system
}
"""Signals by which the kernel ends a process that exceeds a limit."""


def how_ended(code: int) -> str:
    """Return how a process ended, such as "exit code 3" or "signal SIGKILL".

    A limit that it exceeded is named. `code` is that of `subprocess`: -n for signal n.
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:  # a real-time signal
        return f"signal {-code}"
    limit = _LIMITS.get(number)
    return f"signal {number.name}: {limit}" if limit else f"signal {number.name}"


def await_end(process: subprocess.Popen[Any], seconds: float) -> str:
    """Wait up to `seconds` for a process to end; return how it ended, or that it did not."""
    try:
        return how_ended(process.wait(seconds))
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds:g} s"
