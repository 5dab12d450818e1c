"""Event traces: one JSON object per line, one file per node and run.

Every event has `t` (ns of testbed.clock), `node`, `event` and `stream` (which text); spans have
`dur` (ns). All nodes of an emulated run share one clock, so times of different files compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from testbed import clock
from testbed.bounds import Int64
from testbed.config.convert import convert
from testbed.files.stored_json import read_lines
from testbed.host.machine_errors import naming

Event = dict[str, Any]


class _Fields(msgspec.Struct):
    """The fields of an event that readers look at."""

    t: Int64
    node: str
    event: str
    stream: str
    dur: Int64 = 0
    message: str = ""
    round: Int64 | None = None
    part: Int64 | None = None


class Tracer:
    """Writes the events of one node. Without a path it keeps nothing.

    What was written can be read after `flush`, which nodes call when they have nothing to do but
    wait: a write for each event would take longer than the rest of it.
    """

    def __init__(self, node: str, path: Path | None = None) -> None:
        self._node = node
        self._encoder = msgspec.json.Encoder()
        self._path = path
        self._file = path.open("ab") if path else None

    def event(self, event: str, stream: str, **fields: Any) -> None:
        """Record that something happened now."""
        self._write({"t": clock.now_ns(), "event": event, "stream": stream, **fields})

    @contextmanager
    def span(self, event: str, stream: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Record how long the body took, also when it fails; it may add to the fields."""
        start = clock.now_ns()
        try:
            yield fields
        finally:
            self.past_span(event, stream, start, **fields)

    def past_span(self, event: str, stream: str, start: int, **fields: Any) -> None:
        """Record something that began at `start`, in ns of testbed.clock, and ends now."""
        duration = clock.now_ns() - start
        self._write({"t": start, "event": event, "stream": stream, "dur": duration, **fields})

    def flush(self) -> None:
        """Let others read all events so far."""
        if self._file and self._path:
            with naming(self._path):
                self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._file and self._path:
            with naming(self._path):
                self._file.close()

    def _write(self, event: Event) -> None:
        if self._file and self._path:
            line = self._encoder.encode({"node": self._node, **event}) + b"\n"
            with naming(self._path):
                self._file.write(line)


def read_events(path: Path, *, growing: bool = False) -> list[Event]:
    """All events of one file, in the order they were written.

    Of a `growing` one, whose writer may be at work or may have been killed, a last line that is cut
    off is left out. Raises TestbedError with file and line for anything else.
    """
    events = list(read_lines(path, Event, growing=growing))
    for number, event in enumerate(events, 1):
        convert(event, _Fields, f"{path}: line {number}: ")
    return events


def events_by_stream(
    path: Path, since: int = 0, *, growing: bool = False
) -> dict[str, list[Event]]:
    """The events of one file from a time on, in ns, those of each text by themselves.

    Reads and raises as `read_events`.
    """
    streams: dict[str, list[Event]] = {}
    for event in read_events(path, growing=growing):
        if event["t"] >= since:
            streams.setdefault(event["stream"], []).append(event)
    return streams
