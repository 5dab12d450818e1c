"""The window that a receiver advertises, and how Linux's autotuning makes it larger.

The window is at most the share of the receive buffer that is not overhead, and grows by two
segments for each full one received (tcp_grow_window). The buffer grows with what the application
has read within a round trip (dynamic right sizing, tcp_rcv_space_adjust), up to tcp_rmem's largest.
"""

from __future__ import annotations

from testbed.simulation.tcp.settings import TcpSettings

_FIRST_WINDOW = 65535  # bytes, before window scaling
_UNSCALED_BITS, _MOST_SCALE = 15, 14
_PAYLOAD_SHARE = 157 / 256  # of a full frame's memory; Linux measures it (scaling_ratio)
_INITIAL_SEGMENTS = 10
_LEAST_TO_GROW = 128  # bytes of a segment


class ReceiveWindow:
    """The window of one end, whose application reads everything at once."""

    __slots__ = (
        "_buffer",
        "_clamp",
        "_largest",
        "_last_echo",
        "_mss",
        "_read",
        "_rtt",
        "_scale",
        "_since",
        "_space",
        "_threshold",
    )

    def __init__(self, settings: TcpSettings) -> None:
        mss = settings.advertised_mss
        self._mss = mss
        self._buffer = settings.receive_buffer
        self._largest = settings.largest_receive_buffer
        spare = self._largest.bit_length() - 1 - _UNSCALED_BITS
        self._scale = max(0, min(spare, _MOST_SCALE))
        space = settings.receive_buffer // 2
        self._threshold = min(space, _FIRST_WINDOW) // mss * mss
        self._clamp = max(int(self._buffer * _PAYLOAD_SHARE), self._threshold)
        self._space = _INITIAL_SEGMENTS * mss
        self._read = 0
        self._since = 0.0
        self._rtt = 0.0
        self._last_echo = 0

    def size(self, held: int) -> int:
        """Return the window in bytes; `held` bytes wait behind a gap."""
        free = min(self._clamp - held, self._threshold)
        return -(-max(free, 0) >> self._scale) << self._scale

    def received(self, length: int) -> bool:
        """Take in a segment; return True if the window grows."""
        if length < _LEAST_TO_GROW or self._threshold >= self._clamp:
            return False
        self._threshold = min(self._threshold + 2 * self._mss, self._clamp)
        return True

    def open(self, now: float) -> None:
        """Begin after the handshake."""
        self._since = now

    def echoed(self, now: float, echo: int) -> None:
        """Take in the echo of a timestamp, in milliseconds, for the round trip seen here."""
        if echo == self._last_echo:
            return
        self._last_echo = echo
        seconds = max(1, int(now * 1000) - echo) / 1000
        if not self._rtt or seconds < self._rtt:
            self._rtt = seconds
        else:
            self._rtt += (seconds - self._rtt) / 8

    def read(self, now: float, total: int) -> None:
        """Take in that the application has read `total` bytes; once per round trip, grow."""
        if not self._rtt or now - self._since < self._rtt:
            return
        copied = total - self._read
        if copied > self._space:
            window = 2 * copied
            window += 2 * (window * (copied - self._space) // self._space)
            self._space = copied
            buffer = min(int(window / _PAYLOAD_SHARE), self._largest)
            if buffer > self._buffer:
                self._buffer = buffer
                self._clamp = int(buffer * _PAYLOAD_SHARE)
        self._read = total
        self._since = now
