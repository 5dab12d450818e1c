"""A cursor through a schedule of changes; the caller asks what is due and puts it into force."""

from dataclasses import dataclass

from testbed.links.schedule import Moment, Schedule


@dataclass(frozen=True, slots=True)
class Applied:
    """The scheduled and the actual time of one change, in seconds of testbed.clock."""

    scheduled: float
    applied: float


class ScheduleCursor:
    """Returns the moments of a schedule as they become due. Times in seconds of testbed.clock."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._began: float | None = None
        self._armed = False
        self._next = 0
        self.applied: list[Applied] = []

    def restart(self, now: float) -> None:
        """Set time 0 of the schedule to `now`, or to the first packet if the schedule says so."""
        self._armed = self._schedule.on_first_packet
        self._began = None if self._armed else now
        self._next = 0
        self.applied = []

    def packet(self, now: float) -> None:
        """Note a packet, which sets time 0 if the schedule waits for the first one."""
        if self._armed:
            self._began, self._armed = now, False

    @property
    def began(self) -> float | None:
        """The time 0 of the schedule; None until it has come."""
        return self._began

    def next_due(self) -> float | None:
        """Return the time of the next moment; None after the last, and before time 0 has come."""
        if self._began is None or self._next == len(self._schedule.moments):
            return None
        return self._began + self._schedule.moments[self._next].time

    def take(self, now: float) -> Moment | None:
        """Return the next moment if it is due, else None; the caller must apply it at once."""
        due = self.next_due()
        if due is None or due > now:
            return None
        self.applied.append(Applied(due, now))
        self._next += 1
        return self._schedule.moments[self._next - 1]
