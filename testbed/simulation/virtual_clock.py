"""Virtual time: that of a SimPy environment, and what a node has computed since its last event."""

from __future__ import annotations

import simpy


class VirtualClock:
    """The clock of all nodes of a simulation; times in seconds.

    Nodes compute between events, one at a time, while the environment's time stands. What they are
    charged for it is ahead of the environment, until the node waits for it.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._ahead = 0.0

    @property
    def ahead(self) -> bool:
        """True if the node that computes has to wait before its next event."""
        return self._ahead > 0

    def now(self) -> float:
        """Return the time of the node that computes."""
        return float(self._env.now) + self._ahead

    def spend(self, seconds: float) -> None:
        """Charge the node that computes with some time."""
        self._ahead += seconds

    def catch_up(self) -> simpy.Event:
        """Return an event at the node's time; `yield` it before any other event of the node."""
        ahead, self._ahead = self._ahead, 0.0
        return self._env.timeout(ahead)
