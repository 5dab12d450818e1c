"""Handovers in virtual time: routes change at the planned times, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import simpy

from testbed.links.handovers import Handover
from testbed.links.schedule_cursor import Applied
from testbed.simulation.alarm import Alarm


class VirtualHandovers:
    """The device's path through a topology, changed as planned.

    paths: for each radio link, the route of each host while the device uses it, as topology_paths
    returns them; if empty, nothing is done.
    plan: the handovers, in order of time.
    replace: replaces the route of a host.
    """

    def __init__(
        self,
        env: simpy.Environment,
        paths: Mapping[str, Mapping[str, str]],
        plan: Sequence[Handover],
        replace: Callable[[str, str], None],
    ) -> None:
        self._env = env
        self._paths = paths
        self._plan = plan
        self._replace = replace
        self._alarm = Alarm(env, self._make_due)
        self._began = 0.0
        self._applied: list[Applied] = []
        self.reset()

    def reset(self) -> None:
        """Return to the first path, and make no handover until the next `begin`."""
        self._alarm.cancel()
        self._applied = []
        if self._paths:
            self._take(next(iter(self._paths)))

    def begin(self) -> None:
        """Return to the first path, and make the handovers from now on."""
        self.reset()
        self._began = self._env.now
        self._make_due()

    @property
    def applied(self) -> list[Applied]:
        """The handovers made since `begin`, in the order of the plan."""
        return list(self._applied)

    def _make_due(self) -> None:
        now = self._env.now
        for handover in self._plan[len(self._applied) :]:
            due = self._began + handover.time
            if due > now:
                self._alarm.set(due)
                return
            self._take(handover.to)
            self._applied.append(Applied(due, now))

    def _take(self, path: str) -> None:
        for host, route in self._paths[path].items():
            self._replace(host, route)
