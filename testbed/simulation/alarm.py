"""A wake-up call in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable

import simpy


class Alarm:
    """Calls a function at the time to which it was set, or to which it was set for sooner.

    The function finds out what is due, and sets the alarm again. So a time that is put off, as that
    of a retransmission is by every acknowledgement, costs no event until it would have come.
    """

    def __init__(self, env: simpy.Environment, ring: Callable[[], None]) -> None:
        self._env = env
        self._ring = ring
        self._time = math.inf
        self._pending: simpy.Timeout | None = None

    def set(self, time: float | None) -> None:
        """Ring no later than at `time`, in seconds of the environment; None changes nothing."""
        if time is not None and time < self._time:
            self._time = time
            self._pending = self._env.timeout(max(0.0, time - self._env.now))
            self._pending.callbacks.append(self._wake)

    def cancel(self) -> None:
        """Do not ring until it is set again."""
        self._time, self._pending = math.inf, None

    def _wake(self, event: simpy.Event) -> None:
        if event is self._pending:  # others were replaced by an earlier one
            self._time, self._pending = math.inf, None
            self._ring()
