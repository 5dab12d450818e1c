"""Being on time: real-time priority and sleeps that end when they should."""

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

Its death is noticed at once, so this is for machines that are slow, or very busy for a moment.
"""

_READ = 5e5  # bytes/s: a trace is read at 7e6 and a schedule at 2e6 by a processor of 2021

WAKE_UP = Path("/dev/cpu_dma_latency")
"""Takes the longest that an idle processor may take to wake up, in µs (the kernel's PM QoS)."""

_PR_SET_TIMERSLACK = 29
_LONG = 1e-3  # seconds: sleeps from here on end late, the later the longer they were
_EARLY = 0.6e-3  # seconds: by how much they are cut short


def patience(size: int) -> float:
    """Return the seconds that a helper process may take for an answer that has it read so much.

    size: bytes of requests, and of the files that these name.
    """
    return PATIENCE + size / _READ


def enable_realtime() -> bool:
    """Ask for exact timers and to run before all else; return whether the latter was granted."""
    exact_timers()
    gc.disable()  # nothing here makes reference cycles
    return set_fifo_priority(0)


def set_fifo_priority(process: int) -> bool:
    """Ask that a process, 0 for this one, run before all that is ordinary; whether it may.

    Not its child processes: they compress logs.
    """
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(process, policy, os.sched_param(1))
    except PermissionError:
        return False
    return True


@contextlib.contextmanager
def realtime_priority() -> Iterator[None]:
    """Run before all that is ordinary for a while, if that is allowed."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    set_fifo_priority(0)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, policy, parameters)


@contextlib.contextmanager
def awake() -> Iterator[bool]:
    """Keep idle processors from sleeping for a while; yield whether that is allowed.

    One that sleeps takes long to wake up for a packet: those of netem in a guest kernel then left
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
    """Ask that this thread's sleeps not be rounded up to be joined with others."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def sleep_until(moment: float) -> None:
    """Sleep until then (monotonic clock, seconds); not at all when it has passed."""
    while (left := seconds_to_sleep(moment)) > 0:
        time.sleep(left)


def seconds_to_sleep(until: float) -> float:
    """How long to sleep now on the way to the time `until` (monotonic clock, seconds).

    A processor that has idled for long takes long to wake up: a sleep of 50 ms was 0.17 ms late,
    one of 0.3 ms 0.02 ms. So a long sleep ends early, and a short one follows.
    """
    left = until - time.monotonic()
    return max(0.0, left - _EARLY if left > _LONG else left)
