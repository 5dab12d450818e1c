"""A queue of what has arrived, for which a process can wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import simpy

from testbed.simulation.alarm import Alarm

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue from which one process receives."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._items: deque[T] = deque()
        self._waiting: simpy.Event | None = None
        self._deadline = 0.0
        self._alarm = Alarm(env, self._give_up)

    def put(self, item: T) -> None:
        """Add an item, and wake the process that waits."""
        self._items.append(item)
        self._wake()

    def receive(self, timeout: float | None = None) -> Generator[simpy.Event, Any, T | None]:
        """Return the next item, None after `timeout` seconds; `yield from` it in a SimPy process.

        Without a timeout it waits for ever.
        """
        if not self._items:
            self._waiting = self._env.event()
            if timeout is not None:
                self._deadline = self._env.now + timeout
                self._alarm.set(self._deadline)
            else:
                self._alarm.cancel()
            yield self._waiting
        return self._items.popleft() if self._items else None

    def _give_up(self) -> None:
        if self._waiting is None:
            return
        if self._env.now < self._deadline:
            self._alarm.set(self._deadline)  # a later receive has put it off
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.succeed()
            self._waiting = None
