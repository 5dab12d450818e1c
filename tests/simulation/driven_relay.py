"""The relay's own code on a clock that is set by hand, with lists instead of ports."""

from __future__ import annotations

from collections import deque

from testbed import clock
from testbed.emulation.relay import Relay
from testbed.emulation.relay_direction import Direction
from testbed.links.keyed_random import RandomKey
from testbed.links.schedule_cursor import ScheduleCursor


class Port:
    """Frames to read, with their arrival times, and frames that were sent, with theirs."""

    def __init__(self):
        self.socket = self
        self.waiting = deque()
        self.sent = []

    def receive(self):
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.popleft()

    def send(self, frame):
        self.sent.append((clock.now(), frame))

    def drops(self):
        return 0


class DrivenRelay:
    """A relay of which each event happens exactly when it is due."""

    def __init__(self, monkeypatch, name, duplex, seed, schedule):
        monkeypatch.setattr(clock, "now", lambda: self.now)
        self.now = 0.0
        self.device, self.far = Port(), Port()
        self.up = Direction(self.device, self.far, duplex.up, RandomKey(seed, name, "up"))
        self.down = Direction(self.far, self.device, duplex.down, RandomKey(seed, name, "down"))
        self.relay = Relay(self.up, self.down)
        self.relay._cursor = ScheduleCursor(schedule)

    def run_until(self, end):
        while (due := self._next()) is not None and due <= end:
            self._step(due)
        self.now = end

    def arrive(self, time, direction, frame):
        self.run_until(time)
        port = self.device if direction == "up" else self.far
        port.waiting.append((time, frame))
        self._step(time)

    def restart(self, repetition):
        assert self.relay._restart(repetition, None) == 0
        self.relay._begin(self.now)
        self._step(self.now)

    def begin(self):
        self.relay._begin(self.now)
        self._step(self.now)

    def _next(self):
        events = [self.up.next_event(), self.down.next_event(), self.relay._cursor.next_due()]
        return min((each for each in events if each is not None), default=None)

    def _step(self, time):
        self.now = time
        self.relay._follow_schedule()
        for direction in (self.up, self.down):
            self.relay._take_in(direction)
        for direction in (self.up, self.down):
            direction.send_due()
