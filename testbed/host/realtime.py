"""Punctuality: real-time priority, exact timers and sleeps that end on time."""

import contextlib
import ctypes
import gc
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a helper process may take to start, to answer or to end.

Generous, for machines that are slow or very busy for a moment: the death of a helper is noticed at
once in any case.
"""

_READ = 5e5  # bytes/s: a trace is read at 7e6 and a schedule at 2e6 by a processor of 2021

WAKE_UP = Path("/dev/cpu_dma_latency")
"""Device that takes a limit on the wake-up time of idle processors, in µs (the kernel's PM QoS)."""

_PR_SET_TIMERSLACK = 29
_LONG = 1e-3  # seconds: longer sleeps end late, by an amount that grows with their length
_EARLY = 0.6e-3  # seconds by which they are shortened


def patience(size: int) -> float:
    """Return the seconds that a helper process may take for an answer.

    `size` is the number of bytes that it reads for it: of requests, and of the files they name.
    """
    return PATIENCE + size / _READ


def enable_realtime() -> bool:
    """Request exact timers and real-time priority; return True if the priority was granted."""
    exact_timers()
    gc.disable()  # nothing here makes reference cycles
    return set_fifo_priority(0)


def set_fifo_priority(process: int) -> bool:
    """Request FIFO priority for a process, 0 for this one; return True if it was granted.

    Its child processes do not inherit the priority: they compress logs.
    """
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(process, policy, os.sched_param(1))
    except PermissionError:
        return False
    return True


@contextlib.contextmanager
def realtime_priority() -> Iterator[None]:
    """Run the `with` body at FIFO priority, if that is allowed."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    set_fifo_priority(0)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, policy, parameters)


@contextlib.contextmanager
def awake() -> Iterator[bool]:
    """Keep idle processors from sleeping during the `with` body; yield True if that is allowed.

    A sleeping processor takes long to wake up for a packet: packets of netem in a guest kernel left
    0.25 ms late instead of 0.16 ms. The kernel drops the request when this process ends.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(WAKE_UP.open("r+b", buffering=0))
            file.write(struct.pack("=i", 0))
        except OSError:  # only root may, and not every kernel or container has it
            yield False
        else:
            yield True


def exact_timers() -> None:
    """Request that the kernel not delay this thread's timers to join them with others."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def sleep_until(moment: float) -> None:
    """Sleep until `moment` (monotonic clock, seconds); return at once if it has passed."""
    while (left := seconds_to_sleep(moment)) > 0:
        time.sleep(left)


def seconds_to_sleep(until: float) -> float:
    """Return how long to sleep next to be awake at the time `until` (monotonic clock, seconds).

    A processor that has idled for long takes long to wake up: a sleep of 50 ms ended 0.17 ms late,
    one of 0.3 ms 0.02 ms late. So a long sleep ends early, and the caller sleeps once more.
    """
    left = until - time.monotonic()
    return max(0.0, left - _EARLY if left > _LONG else left)
