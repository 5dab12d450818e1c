"""The clock that an experiment runs by and is told in.

With `time_dilation: F` an emulated second takes F real ones, so that a slow host can stand for fast
hardware and fast links. Every process of a run keeps this clock: the relay lets packets go by it,
models are paced by it, policies see it, and what is written down is read from it. So nothing of
all that knows of a dilation. Who asks the kernel for something, a sleep or a timer, has to ask in
real time.

Emulated time is CLOCK_MONOTONIC divided by F, the same in all processes of a run.
"""

from __future__ import annotations

import time

LARGEST_DILATION = 100
"""Beyond it TCP's timers, which have a ceiling, could not be slowed down."""

_dilation = 1.0


def set_dilation(factor: float) -> None:
    """From now on, in this process, an emulated second takes `factor` real ones, 1 or more."""
    global _dilation  # noqa: PLW0603  a process has one clock
    _dilation = factor


def dilation() -> float:
    """F: how many real seconds an emulated one takes."""
    return _dilation


def now() -> float:
    """Emulated time in seconds."""
    return time.monotonic() / _dilation


def now_ns() -> int:
    """Emulated time in nanoseconds."""
    now = time.monotonic_ns()
    return now if _dilation == 1 else round(now / _dilation)


def real(seconds: float) -> float:
    """An emulated time or duration in real seconds."""
    return seconds * _dilation


def emulated(seconds: float) -> float:
    """A real time or duration in emulated seconds."""
    return seconds / _dilation
