"""The clock of an experiment. Every reported time is emulated time.

With `time_dilation: F` an emulated second takes F real ones, so that a slow host can emulate fast
hardware and fast links. All processes of a run use this clock: the relay forwards packets by it,
models are paced by it, policies read it, and every recorded time comes from it, so none of them
needs to know the factor. Only sleeps and timers of the kernel are in real time; convert for them
with `real`.

Emulated time is CLOCK_MONOTONIC divided by F, and is the same in all processes of a run. In a
simulation it is the virtual time of testbed.simulation, which stands while anything is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LARGEST_DILATION = 100
"""The largest F: the upper limit of TCP's timers allows no more."""

_dilation = 1.0
_virtual: Callable[[], float] | None = None


@contextmanager
def virtual(now: Callable[[], float]) -> Iterator[None]:
    """Let time be what `now` returns, in seconds, in this process and while the context lasts."""
    global _virtual  # noqa: PLW0603  a process has one clock
    before, _virtual = _virtual, now
    try:
        yield
    finally:
        _virtual = before


def set_dilation(factor: float) -> None:
    """Set F for this process: an emulated second takes `factor` real ones, 1 or more."""
    global _dilation  # noqa: PLW0603  a process has one clock
    _dilation = factor


def dilation() -> float:
    """Return F, the number of real seconds in an emulated one."""
    return _dilation


def now() -> float:
    """Return the emulated time in seconds."""
    return time.monotonic() / _dilation if _virtual is None else _virtual()


def now_ns() -> int:
    """Return the emulated time in nanoseconds."""
    if _virtual is not None:
        return round(_virtual() * 1e9)
    now = time.monotonic_ns()
    return now if _dilation == 1 else round(now / _dilation)


def real(seconds: float) -> float:
    """Convert an emulated time or duration to real seconds."""
    return seconds * _dilation


def emulated(seconds: float) -> float:
    """Convert a real time or duration to emulated seconds."""
    return seconds / _dilation
