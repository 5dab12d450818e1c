"""Event traces: one JSON object per line, one file per node and run.

Every event has `t` (ns of testbed.clock), `node`, `event` and `stream` (the generation that it
belongs to); spans also have `dur` (ns). All nodes of an emulated run share one clock, so times in
different files can be compared.
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
    """Fields of an event that readers use, for checking their types."""

    t: Int64
    node: str
    event: str
    stream: str
    dur: Int64 = 0
    message: str = ""
    round: Int64 | None = None
    part: Int64 | None = None


class Tracer:
    """Writer of the events of one node; without a path it discards them.

    Events are buffered, because a write for each would take longer than all else. Nodes call
    `flush` when they wait, and others can read the events from then on.
    """

    def __init__(self, node: str, path: Path | None = None) -> None:
        self._node = node
        self._encoder = msgspec.json.Encoder()
        self._path = path
        self._file = path.open("ab") if path else None

    def event(self, event: str, stream: str, **fields: Any) -> None:
        """Record an event at the present time."""
        self._write({"t": clock.now_ns(), "event": event, "stream": stream, **fields})

    @contextmanager
    def span(self, event: str, stream: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Record the duration of the `with` body, also if it raises; the body may add fields."""
        start = clock.now_ns()
        try:
            yield fields
        finally:
            self.past_span(event, stream, start, clock.now_ns(), **fields)

    def past_span(self, event: str, stream: str, start: int, end: int, **fields: Any) -> None:
        """Record a span from `start` to `end`, in ns of testbed.clock."""
        self._write({"t": start, "event": event, "stream": stream, "dur": end - start, **fields})

    def flush(self) -> None:
        """Write all buffered events to the file."""
        if self._file and self._path:
            with naming(self._path):
                self._file.flush()

    def close(self) -> None:
        """Write all buffered events and close the file."""
        if self._file and self._path:
            with naming(self._path):
                self._file.close()

    def _write(self, event: Event) -> None:
        if self._file and self._path:
            line = self._encoder.encode({"node": self._node, **event}) + b"\n"
            with naming(self._path):
                self._file.write(line)


def read_events(path: Path, *, growing: bool = False) -> list[Event]:
    """Return all events of one file in the order they were written.

    `growing` is for a file whose writer may still be running or may have been killed: an unfinished
    last line is skipped. Raises TestbedError, with file and line, for any other fault.
    """
    events = list(read_lines(path, Event, growing=growing))
    for number, event in enumerate(events, 1):
        convert(event, _Fields, f"{path}: line {number}: ")
    return events


def events_by_stream(
    path: Path, since: int = 0, *, growing: bool = False
) -> dict[str, list[Event]]:
    """Return the events of one file from `since` on, in ns, grouped by their stream.

    Reads the file and raises TestbedError as `read_events` does.
    """
    streams: dict[str, list[Event]] = {}
    for event in read_events(path, growing=growing):
        if event["t"] >= since:
            streams.setdefault(event["stream"], []).append(event)
    return streams
