"""Child processes side by side: started, interrupted together, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TypeAlias

from testbed.exit_codes import INTERRUPTED, OVERDUE
from testbed.host.process_endings import how_ended

GRACE = 10.0  # seconds that a child has to clean up after a signal
_KILLED = -getattr(signal, "SIGKILL", 9)

Child: TypeAlias = "subprocess.Popen[bytes]"
Watch: TypeAlias = Callable[[Sequence[Child]], contextlib.AbstractContextManager[None]]
"""A context that watches children while they are waited for."""


def _unwatched(_children: Sequence[Child]) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def run_side_by_side(
    starts: Sequence[Callable[[], Child]], watched: Watch = _unwatched
) -> list[int]:
    """Start children side by side and wait for them; return their exit codes.

    Each must be in a session of its own. One that fails does not end the others. The exit code is
    128 + n for a child that signal n ended.

    The first SIGINT, SIGTERM or SIGHUP is passed on to all children. SIGHUP is passed on as
    SIGTERM, unless ignored (nohup). Children that have not ended `GRACE` seconds later are killed,
    with the exit code OVERDUE. Call from the main thread.
    """
    children: list[Child] = []
    stopped: list[int] = []
    overdue: set[int] = set()

    def kill() -> None:
        for child in children:
            child.kill()

    def kill_overdue() -> None:
        overdue.update(child.pid for child in children if child.poll() is None)
        kill()

    last_resort = threading.Timer(GRACE, kill_overdue)

    def forward(number: int, _frame: FrameType | None) -> None:
        if not stopped:  # only the first signal: a second one would disturb the clean-up
            # `unshare` blocks these two; a SIGHUP would kill it, and with it the whole sandbox.
            stopped.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
            last_resort.start()
            for child in children:
                _signal_group(child, stopped[0])

    replaced = {number: signal.signal(number, forward) for number in _stopping()}
    try:
        for start in starts:
            child = start()
            children.append(child)
            if stopped:  # by a signal that came while this one was started
                _signal_group(child, stopped[0])
        with watched(children):
            codes = [child.wait() for child in children]
    finally:
        last_resort.cancel()
        kill()
        for number, handler in replaced.items():
            signal.signal(number, handler)
    for index, child in enumerate(children):
        if codes[index] == _KILLED and child.pid in overdue:
            codes[index] = OVERDUE
    return [code if code >= 0 else 128 - code for code in codes]


def ending(code: int) -> str:
    """Return the end of a sentence on how a child ended, from its exit code."""
    if code == INTERRUPTED:
        return "was interrupted"
    if code == OVERDUE:
        return f"was interrupted, and killed as it did not end within {GRACE:g} s"
    return f"ended with {how_ended(code if code < 128 else 128 - code)}"


def _stopping() -> Iterator[signal.Signals]:
    """Yield the signals that ask this process to end, and that it does not ignore."""
    yield signal.SIGINT
    yield signal.SIGTERM
    hangup = getattr(signal, "SIGHUP", None)  # not on every system
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        yield hangup


def _signal_group(child: Child, number: int) -> None:
    """Send a signal to a child's process group, because `unshare` itself blocks these signals."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, number)
        else:
            child.terminate()
