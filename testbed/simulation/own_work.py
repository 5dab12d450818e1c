"""The work of a node between effects: codecs, draws, acceptance. Timed, or charged.

It is divided into kinds: the spans that a method half opens, such as encode, and its steps from one
effect to the next, such as "Pass Pass", spans left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from testbed.events import Event, Tracer
from testbed.methods.effects import Effects

LATE = "late"
"""The kind of work of a pass that ends late."""
OnWork = Callable[[str, float], None]
"""Called with the kind of a piece of work, and the seconds of processor time that it took."""


class OwnWork(Tracer):
    """A node's tracer, and what is put around its method halves; calls `done` with all work."""

    def __init__(self, node: str, done: OnWork, timer: Callable[[], float]) -> None:
        """Begin without events; `timer` gives the seconds of processor time."""
        super().__init__(node)
        self._timer = timer
        self.events: list[Event] = []
        """The events since the last `take`."""
        self._done = done
        self._in_spans = 0.0

    def note_lateness(self, seconds: float) -> None:
        """Add the time by which a pass ends after it is due."""
        self._done(LATE, seconds)

    def take(self) -> list[Event]:
        """Return the events since the last call, in the order in which they were recorded."""
        taken, self.events = self.events, []
        return taken

    @override
    @contextmanager
    def span(self, event: str, stream: str, **fields: Any) -> Iterator[dict[str, Any]]:
        with super().span(event, stream, **fields) as more:
            start = self._timer()
            try:
                yield more
            finally:
                seconds = self._timer() - start
                self._in_spans += seconds
                self._done(event, seconds)

    def around(self, half: Effects[None]) -> Effects[None]:
        """Do as `half` does."""
        result: Any = None
        before = "begin"
        while True:
            self._in_spans = 0.0
            start = self._timer()
            try:
                effect = half.send(result)
            except StopIteration:
                return
            kind = type(effect).__name__
            self._done(f"{before} {kind}", self._timer() - start - self._in_spans)
            result = yield effect
            before = kind

    @override
    def _write(self, event: Event) -> None:
        self.events.append({"node": self._node, **event})
