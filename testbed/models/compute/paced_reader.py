"""Timed forward passes over one token sequence, extended to the duration of other hardware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from testbed import clock
from testbed.events import Tracer
from testbed.host.realtime import sleep_until
from testbed.models.base import Logits
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.pace import Pace


class PassResult(NamedTuple):
    """The result of a pass, with its beginning and end in ns of testbed.clock."""

    value: Any
    began: int
    ended: int


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

    def begin(self, sequence: Sequence[int], keep: int = 1) -> RunningPass:
        """Begin a pass: compute CachedReader.logits(sequence, keep)."""
        began = clock.now_ns()
        logits = self._reader.logits(sequence, keep)
        return RunningPass(logits, self._reader.read, began, self._pace, self._trace, self._stream)

    def run(self, sequence: Sequence[int], keep: int, of: Callable[[Logits], Any]) -> PassResult:
        """Run a whole pass; return `of(logits)`, which is computed within it."""
        running = self.begin(sequence, keep)
        value = of(running.logits)
        if running.due is not None:
            sleep_until(clock.real(running.due))
        return running.end(value)


@dataclass(slots=True)
class RunningPass:
    """A pass whose logits are computed, and which lasts until `end` is called."""

    logits: Logits
    tokens: int
    """The tokens that it read; 0 if all had been read ahead."""
    began: int
    """In ns of testbed.clock."""
    pace: Pace | None
    trace: Tracer
    stream: str

    @property
    def due(self) -> float | None:
        """The earliest time of its end by its pace, in seconds of testbed.clock; None for now."""
        if self.pace is None or not self.tokens:
            return None
        return self.began * 1e-9 + self.pace.seconds(self.tokens)

    def end(self, value: Any) -> PassResult:
        """End the pass now, with this result; record its span if it read anything."""
        ended = clock.now_ns()
        if self.tokens:
            self.trace.past_span("forward", self.stream, self.began, ended, tokens=self.tokens)
        return PassResult(value, self.began, ended)
