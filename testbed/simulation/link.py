"""A shaped link in virtual time: both directions, and the schedule that changes them."""

from __future__ import annotations

import simpy

from testbed.errors import TestbedError
from testbed.links.keyed_random import RandomKey
from testbed.links.schedule import Schedule
from testbed.links.schedule_cursor import Applied, ScheduleCursor
from testbed.links.spec import Duplex
from testbed.simulation.alarm import Alarm
from testbed.simulation.direction import Deliver, PlainDirection, ShapedDirection


class PlainLink:
    """A link that is not shaped; `up` leads away from its first host."""

    def __init__(self, deliver_up: Deliver, deliver_down: Deliver) -> None:
        self.up, self.down = PlainDirection(deliver_up), PlainDirection(deliver_down)


class ShapedLink:
    """A link that does to frames what the relay does to them, with the same random numbers.

    `up` leads away from its first host; `deliver` receives what comes out: up, down. The schedule
    starts with `begin` or `restart`.
    """

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        duplex: Duplex,
        deliver: tuple[Deliver, Deliver],
        *,
        seed: int,
        schedule: Schedule,
    ) -> None:
        self._env = env
        self._name = name
        self._duplex = duplex
        self._cursor = ScheduleCursor(schedule)
        self._alarm = Alarm(env, self._follow)
        up_key, down_key = (RandomKey(seed, name, direction) for direction in ("up", "down"))
        self.up = ShapedDirection(env, duplex.up, up_key, deliver[0])
        self.down = ShapedDirection(env, duplex.down, down_key, deliver[1])

    @property
    def began(self) -> float | None:
        """Time 0 of the schedule since the last restart; None until it has come."""
        return self._cursor.began

    @property
    def applied(self) -> list[Applied]:
        """The changes of the schedule made since the last restart, in order."""
        return list(self._cursor.applied)

    def carry_up(self, frame: bytes) -> None:
        """Take in a frame that arrives now from the first host."""
        self.up.carry(frame)
        if self._cursor.began is None:
            self._note_packet()

    def carry_down(self, frame: bytes) -> None:
        """Take in a frame that arrives now from the second host."""
        self.down.carry(frame)
        if self._cursor.began is None:
            self._note_packet()

    def begin(self) -> None:
        """Start the schedule and the delivery traces now, from the link's own spec."""
        if self._cursor.applied:
            self.up.change(self._duplex.up)
            self.down.change(self._duplex.down)
        self._start_schedule()

    def restart(self, repetition: int) -> None:
        """Reset packet numbers and randomness, and begin.

        Raises TestbedError while packets wait, since they would delay those of the new run.
        """
        waiting = self.up.waiting() + self.down.waiting()
        if waiting:
            raise TestbedError(
                f"link {self._name}: {waiting} packets still wait, so that a run cannot begin"
            )
        self.up.restart(self._duplex.up, repetition)
        self.down.restart(self._duplex.down, repetition)
        self._start_schedule()

    def _start_schedule(self) -> None:
        self._cursor.restart(self._env.now)
        self._begin_traces()
        self._follow()

    def _note_packet(self) -> None:
        self._cursor.packet(self._env.now)
        self._begin_traces()
        self._follow()

    def _begin_traces(self) -> None:
        if (began := self._cursor.began) is not None:
            self.up.begin_trace(began)
            self.down.begin_trace(began)

    def _follow(self) -> None:
        """Apply the changes that are due."""
        while (moment := self._cursor.take(self._env.now)) is not None:
            self.up.change(moment.up, held=moment.held)
            self.down.change(moment.down, held=moment.held)
        self._alarm.set(self._cursor.next_due())
