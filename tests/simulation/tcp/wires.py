"""Two TCP ends on a clock of their own, joined by a wire whose losses and delays a test decides."""

from __future__ import annotations

import heapq
import itertools

from testbed.simulation.tcp.end import TcpEnd
from testbed.simulation.tcp.settings import TcpSettings

MSS = TcpSettings().mss
DELAY = 0.02
RTT = 2 * DELAY


def arrives(_direction, _number, _segment):
    """Let every segment arrive after DELAY, once."""
    return [DELAY]


class Exchange:
    """A client ("up") and a server ("down"); the client connects at time 0.

    fate: for each segment the delays after which copies of it arrive, from its direction, its
    number in that direction and the segment.
    """

    def __init__(self, fate=arrives, **settings):
        self.now = 0.0
        self.fate = fate
        self.sent = {"up": [], "down": []}
        self.delivered = {"up": [], "down": []}
        self.events = []
        self._tie = itertools.count()
        chosen = TcpSettings(**settings)
        self.mtu = chosen.mtu
        self.client = TcpEnd(chosen, self._carry("up"), self._note("down"))
        self.server = TcpEnd(chosen, self._carry("down"), self._note("up"))
        self.client.connect(0.0)

    def _carry(self, direction):
        def carry(segment):
            assert segment.frame_size - 14 <= self.mtu
            number = len(self.sent[direction])
            self.sent[direction].append((self.now, segment))
            target = self.server if direction == "up" else self.client
            for delay in self.fate(direction, number, segment):
                event = (self.now + delay, next(self._tie), target, segment)
                heapq.heappush(self.events, event)

        return carry

    def _note(self, direction):
        return lambda now, total: self.delivered[direction].append((now, total))

    def run(self, until):
        """Let time pass until `until`."""
        while True:
            due = [end.next_timer() for end in (self.client, self.server)]
            due += [self.events[0][0]] if self.events else []
            soonest = min((each for each in due if each is not None), default=until)
            if soonest >= until:
                self.now = until
                return
            self.now = max(self.now, soonest)
            while self.events and self.events[0][0] <= self.now:
                _, _, end, segment = heapq.heappop(self.events)
                end.arrive(self.now, segment)
            for end in (self.client, self.server):
                timer = end.next_timer()
                if timer is not None and timer <= self.now:
                    end.expire(self.now)

    def total(self, direction):
        """Return the bytes that have arrived in order."""
        return self.delivered[direction][-1][1] if self.delivered[direction] else 0

    def data(self, direction, since=0.0):
        """Return times and segments with data that were sent from `since` on."""
        return [(t, s) for t, s in self.sent[direction] if s.length and t >= since]

    def pure(self, direction, since=0.0):
        """Return times and acknowledgements without data that were sent from `since` on."""
        return [
            (t, s) for t, s in self.sent[direction] if not s.length and not s.syn and t >= since
        ]


def connected(fate=arrives, **settings):
    """Return an exchange after its handshake, at 0.1 s."""
    exchange = Exchange(fate, **settings)
    exchange.run(0.1)
    assert exchange.client.established
    assert exchange.server.established
    return exchange


def write(exchange, size, end=None):
    """Write to the client, or another end, now."""
    (end or exchange.client).write(exchange.now, size)


def losing(*starts, direction="up"):
    """Return a fate that loses the first transmission of segments that begin at `starts`."""
    left = list(starts)

    def fate(way, _number, segment):
        if way == direction and segment.length and segment.sequence in left:
            left.remove(segment.sequence)
            return []
        return [DELAY]

    return fate
