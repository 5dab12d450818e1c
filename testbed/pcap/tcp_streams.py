"""TCP streams, reassembled from the frames captured at the hosts that they begin at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property

from testbed.errors import TestbedError
from testbed.pcap.frames import SYN, Flow, Frame
from testbed.pcap.zmtp import Element, Span, elements

_WRAP = 1 << 32  # sequence numbers start again at 0


class Stream:
    """The bytes that one end of a connection sends to the other."""

    def __init__(self, first: int, where: str) -> None:
        """Start an empty stream; first: sequence number of byte 0; where: its name in errors."""
        self._first = first
        self._where = where
        self.data = bytearray()

    def offset(self, sequence: int, near: int) -> int:
        """Return the offset of a sequence number; it wraps, so the candidate nearest to `near`."""
        return near + (sequence - self._first - near + _WRAP // 2) % _WRAP - _WRAP // 2

    def append(self, frame: Frame) -> None:
        """Append the payload of the sender's next frame; raise TestbedError if one is missing."""
        known = len(self.data)
        start = self.offset(frame.sequence, known)
        if start > known:
            raise TestbedError(f"{self._where}: {start - known} bytes of it were not captured")
        self.data += frame.payload[known - start :]

    @cached_property
    def elements(self) -> list[Element]:
        """The elements of the complete stream; TestbedError as in `elements`."""
        try:
            return list(elements(self.data))
        except TestbedError as error:
            raise TestbedError(f"{self._where}: {error}") from None

    def uses(self, start: int, end: int) -> Iterator[tuple[str, int]]:
        """Yield (use, bytes) for each span of the part from `start` to `end`."""
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
    """Reassemble the streams of all flows.

    hosts: the frames that each host sent, in order of time. where: names the captures in errors.

    A stream is read at the host that sent its first frame; other hosts only forward it. A flow that
    was open before the captures has no stream. Raises TestbedError when a frame is missing.
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
    """Reassemble a flow; return None if its SYN was not captured."""
    stream = None
    for frame in frames:
        if frame.flags & SYN:
            first = (frame.sequence + 1) % _WRAP
            if stream is not None and stream.offset(first, 0):
                raise TestbedError(f"{where}: its ports are those of an earlier connection")
            stream = stream or Stream(first, where)
        elif frame.payload and stream is not None:
            stream.append(frame)
    return stream
