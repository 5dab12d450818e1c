"""Forward passes over one text: timed, and made to last as long as other hardware would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from testbed import clock
from testbed.events import Tracer
from testbed.host.realtime import sleep_until
from testbed.models.base import Logits
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.pace import Pace


class Passes:
    """Reads a text as its CachedReader does; every pass becomes a `forward` span in the trace.

    With a pace, no pass ends before its time. One that ends later is late, and the trace tells: see
    testbed.audit.checks.pacing.
    """

    def __init__(self, reader: CachedReader, trace: Tracer, stream: str, pace: Pace | None) -> None:
        self._reader = reader
        self._trace = trace
        self._stream = stream
        self._pace = pace

    @property
    def paced(self) -> bool:
        """Whether passes last as long as a pace says."""
        return self._pace is not None

    @contextmanager
    def over(self, text: Sequence[int], keep: int = 1) -> Iterator[Logits]:
        """The logits as CachedReader.logits has them, in a pass that includes the body."""
        start = clock.now_ns()
        logits = self._reader.logits(text, keep)
        tokens = self._reader.read
        yield logits
        if not tokens:
            return  # all was read ahead
        if self._pace is not None:
            sleep_until(clock.real(start * 1e-9 + self._pace.seconds(tokens)))
        self._trace.past_span("forward", self._stream, start, tokens=tokens)
