"""Timed forward passes over one token sequence, extended to the duration of other hardware."""

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
    """Forward passes of a CachedReader, each recorded as a `forward` span in the trace.

    With a pace, every pass lasts at least as long as the pace gives. A pass that this machine
    computes more slowly ends late, which testbed.audit.checks.pacing reports.
    """

    def __init__(self, reader: CachedReader, trace: Tracer, stream: str, pace: Pace | None) -> None:
        self._reader = reader
        self._trace = trace
        self._stream = stream
        self._pace = pace

    @property
    def paced(self) -> bool:
        """True if passes last as long as a pace gives."""
        return self._pace is not None

    @contextmanager
    def over(self, sequence: Sequence[int], keep: int = 1) -> Iterator[Logits]:
        """Yield CachedReader.logits(sequence, keep); the pass ends after the `with` body."""
        start = clock.now_ns()
        logits = self._reader.logits(sequence, keep)
        tokens = self._reader.read
        yield logits
        if not tokens:
            return  # the whole sequence was read ahead
        if self._pace is not None:
            sleep_until(clock.real(start * 1e-9 + self._pace.seconds(tokens)))
        self._trace.past_span("forward", self._stream, start, tokens=tokens)
