"""A TCP that sends every byte at once, in full segments, and acknowledges none."""

from __future__ import annotations

from dataclasses import dataclass

MSS = 1448


@dataclass
class Data:
    """Bytes of the stream, of which the first is number 1."""

    sequence: int
    length: int
    sent: float = 0.0

    @property
    def frame_size(self):
        return 66 + self.length


class InstantTcp:
    """For links that neither lose nor reorder packets; a handshake is an empty segment each way."""

    def __init__(self, send, deliver):
        self._send, self._deliver = send, deliver
        self._sent = self._arrived = 0
        self._connects = False
        self.segments = []

    def connect(self, now):
        self._connects = True
        self._send(Data(0, 0))

    def write(self, now, size):
        while size:
            length = min(MSS, size)
            self.segments.append(length)
            self._send(Data(1 + self._sent, length))
            self._sent += length
            size -= length

    def arrive(self, now, segment):
        assert not segment.length or segment.sequence == 1 + self._arrived
        if not segment.length:
            if not self._connects:
                self._send(Data(0, 0))
            return
        self._arrived += segment.length
        self._deliver(now, self._arrived)

    def next_timer(self):
        return None

    def expire(self, now):
        raise AssertionError("nothing was due")
