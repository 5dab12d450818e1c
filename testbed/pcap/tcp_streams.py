"""The streams of TCP connections, put together from the frames of the hosts that they begin at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property

from testbed.errors import TestbedError
from testbed.pcap.frames import SYN, Flow, Frame
from testbed.pcap.zmtp import Element, Span, elements

_WRAP = 1 << 32  # sequence numbers begin anew


class Stream:
    """All that one end of a connection sends to the other."""

    def __init__(self, first: int, where: str) -> None:
        """`first` is the sequence number of its first byte, `where` names it in errors."""
        self._first = first
        self._where = where
        self.data = bytearray()

    def place(self, sequence: int, near: int) -> int:
        """Where in the stream a sequence number stands; of several places the nearest to `near`."""
        return near + (sequence - self._first - near + _WRAP // 2) % _WRAP - _WRAP // 2

    def take(self, frame: Frame) -> None:
        """The next frame of its origin. Raises TestbedError when one before it is not there."""
        known = len(self.data)
        start = self.place(frame.sequence, known)
        if start > known:
            raise TestbedError(f"{self._where}: {start - known} bytes of it were not captured")
        self.data += frame.payload[known - start :]

    @cached_property
    def elements(self) -> list[Element]:
        """Its elements, for a complete stream. Raises TestbedError as `elements`."""
        try:
            return list(elements(self.data))
        except TestbedError as error:
            raise TestbedError(f"{self._where}: {error}") from None

    def uses(self, start: int, end: int) -> Iterator[tuple[str, int]]:
        """The uses of a part, and how many bytes serve them."""
        for span in self._spans[bisect_left(self._ends, start + 1) :]:
            if span.start >= end:
                return
            yield span.use, min(end, span.end) - max(start, span.start)

    @cached_property
    def _spans(self) -> list[Span]:
        return [span for element in self.elements for span in element.spans]

    @cached_property
    def _ends(self) -> list[int]:
        return [span.end for span in self._spans]


def streams(hosts: Iterable[list[Frame]], where: str) -> dict[Flow, Stream]:
    """The streams of all flows, from the frames that each host sent, in their order.

    `where` names the captures in errors. A stream is read at the host that sent the first frame of
    it; others only pass it on. Raises TestbedError when a frame of its own is missing there.
    """
    origins: dict[Flow, tuple[int, list[Frame]]] = {}
    for frames in hosts:
        flows: dict[Flow, list[Frame]] = {}
        for frame in frames:
            if frame.flow is not None:
                flows.setdefault(frame.flow, []).append(frame)
        for flow, mine in flows.items():
            if flow not in origins or mine[0].t < origins[flow][0]:
                origins[flow] = mine[0].t, mine
    return {
        flow: stream
        for flow, (_, mine) in origins.items()
        if (stream := _stream(mine, f"{where}: {_name(flow)}")) is not None
    }


def _name(flow: Flow) -> str:
    source, port, destination, its_port = flow
    return f"connection from {source}:{port} to {destination}:{its_port}"


def _stream(frames: list[Frame], where: str) -> Stream | None:
    """None for a flow whose beginning is not there."""
    stream = None
    for frame in frames:
        if frame.flags & SYN:
            first = (frame.sequence + 1) % _WRAP
            if stream is not None and stream.place(first, 0):
                raise TestbedError(f"{where}: it has the port of an earlier one")
            stream = stream or Stream(first, where)
        elif frame.payload and stream is not None:
            stream.take(frame)
    return stream
