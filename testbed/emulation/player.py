"""Follows a schedule, whoever asks what is due."""

from dataclasses import dataclass

from testbed.links.schedule import Moment, Schedule


@dataclass(frozen=True, slots=True)
class Applied:
    """When a moment of a schedule should have come into force, and when it did.

    Seconds of testbed.clock.
    """

    scheduled: float
    applied: float


class Player:
    """Hands out the moments of a schedule as they become due; times of testbed.clock."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._began: float | None = None
        self._armed = False
        self._next = 0
        self.applied: list[Applied] = []

    def restart(self, now: float) -> None:
        """Begin again: now, or with the first packet, as the schedule says."""
        self._armed = self._schedule.on_first_packet
        self._began = None if self._armed else now
        self._next = 0
        self.applied = []

    def packet(self, now: float) -> None:
        """A packet came."""
        if self._armed:
            self._began, self._armed = now, False

    @property
    def began(self) -> float | None:
        """When time 0 was, if it was."""
        return self._began

    def next_due(self) -> float | None:
        """When the next moment is due, or None if there is none or time 0 has not come."""
        if self._began is None or self._next == len(self._schedule.moments):
            return None
        return self._began + self._schedule.moments[self._next].time

    def take(self, now: float) -> Moment | None:
        """The next moment if it is due; what calls puts it into force at once."""
        due = self.next_due()
        if due is None or due > now:
            return None
        self.applied.append(Applied(due, now))
        self._next += 1
        return self._schedule.moments[self._next - 1]
