"""Virtual time: that of a SimPy environment, and what a node has computed since its last event."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy


class VirtualClock:
    """The clock of all nodes of a simulation; times in seconds.

    Nodes compute between events, one at a time, while the environment's time stands. What they are
    charged for it is ahead of the environment, until the node waits for it.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time of the node that computes."""
        return float(self._env.now) + self._ahead

    def spend(self, seconds: float) -> None:
        """Charge the node that computes with some time."""
        self._ahead += seconds

    def catch_up(self) -> Generator[simpy.Event, Any, None]:
        """Wait until the node's time has come; `yield from` it before any other event of a node."""
        ahead, self._ahead = self._ahead, 0.0
        if ahead > 0:
            yield self._env.timeout(ahead)
