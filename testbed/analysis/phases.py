"""Phases of a generation: its time, round by round, divided by what was waited for.

Each moment is assigned to one thing: to the device while it computes, else to the verifier while it
computes, else to the message that has been in flight for longest. The time of flight is divided
into serialisation (its bytes at the links' rates), propagation (the links' delays), loss recovery
(TCP's retransmission of lost segments), and queue, the remainder: queues, sockets, jitter, and
TCP's window, which is smaller after a loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import msgspec

from testbed.analysis.prediction import Route
from testbed.events import Event

BOUND = ("draft", "encode", "serialisation", "propagation", "verify", "decode")
"""The phases that links and compute require: a round is at least as long as their sum."""
LOST = ("queue", "loss_recovery", "other")
"""The phases beyond that; in `other` no node computed and no message was in flight."""
PHASES = BOUND + LOST
_COMPUTE = {
    "device": {"encode": "encode", "decode": "decode", "resample": "decode", "draft": "draft"},
    "verifier": {"encode": "encode", "decode": "decode", "verify": "verify", "prefill": "verify"},
}
"""Spans and their phases, inner ones first."""
Recovery = Callable[["MessageFlight"], float]
"""The seconds of a flight that went into retransmitting lost segments."""


class MessageFlight(NamedTuple):
    """The flight of a message, from when one node sent it until the other received it, in ns."""

    direction: str
    message: str
    round: int
    part: int
    sent: int
    received: int
    size: int
    """Bytes of the message."""


class RoundTime(msgspec.Struct, kw_only=True):
    """The duration of a round in seconds, and its division into phases.

    A round lasts from the end of the round before until its last token is committed, however many
    exchanges it takes.
    """

    round: int
    """The number of its first exchange."""
    seconds: float
    phases: dict[str, float]
    """Seconds of each of PHASES; empty where links change, so that flights have no bound."""


class TextTimes(msgspec.Struct, kw_only=True):
    """The rounds of one generation."""

    prompt: int
    device: str
    rounds: list[RoundTime]

    def total(self) -> dict[str, float]:
        """Return the seconds of each phase over all rounds."""
        known = [each.phases for each in self.rounds if each.phases]
        return {phase: sum(each[phase] for each in known) for phase in PHASES if known}


@dataclass(frozen=True)
class _Span:
    """Something to wait for; of several at the same time, the one with the lowest rank counts."""

    rank: tuple[int, int]
    begin: int
    end: int
    what: str | MessageFlight


def round_times(
    device: Sequence[Event],
    verifier: Sequence[Event],
    start: int,
    route: Route | None,
    recovery: Recovery | None,
) -> list[RoundTime]:
    """Return the rounds of one generation from the events of both nodes.

    `start` is when the device got the prompt, in ns. Without a `route` the rounds have no phases.
    `recovery` needs captures; without it loss recovery counts as queue.
    """
    ends: dict[int, int] = {}
    for event in device:
        if event["event"] == "commit":
            ends[event.get("round", 0)] = event["t"]
    spans = [*_compute(device, verifier), *_flights(device, verifier)]
    moments = [start, *ends.values()]
    times = []
    for number, (begin, end), shares in zip(
        ends, pairwise(moments), _shares(spans, moments), strict=True
    ):
        phases: dict[str, float] = {}
        if route is not None:
            phases = dict.fromkeys(PHASES, 0.0)
            for what, seconds in shares.items():
                if isinstance(what, MessageFlight):
                    for phase, part in _parts(what, route, recovery).items():
                        phases[phase] += part * seconds
                else:
                    phases[what] += seconds
        times.append(RoundTime(round=number, seconds=(end - begin) / 1e9, phases=phases))
    return times


def _compute(device: Sequence[Event], verifier: Sequence[Event]) -> Iterator[_Span]:
    for rank_of_node, (node, events) in enumerate((("device", device), ("verifier", verifier))):
        phases = _COMPUTE[node]
        order = {name: rank for rank, name in enumerate(phases)}
        for event in events:
            if (name := event["event"]) in phases:
                end = event["t"] + event["dur"]
                yield _Span((rank_of_node, order[name]), event["t"], end, phases[name])


def _flights(device: Sequence[Event], verifier: Sequence[Event]) -> Iterator[_Span]:
    """Yield the flights: the n-th sending of a message is paired with its n-th reception."""
    for direction, origin, end in (("up", device, verifier), ("down", verifier, device)):
        received: dict[tuple[str, int, int], list[int]] = {}
        for event in end:
            if event["event"] == "receive":
                received.setdefault(_which(event), []).append(event["t"])
        for event in origin:
            if event["event"] != "send":
                continue
            which = _which(event)
            if arrivals := received.get(which):
                flight = MessageFlight(
                    direction, *which, event["t"], arrivals.pop(0), event["bytes"]
                )
                yield _Span((2, flight.sent), flight.sent, flight.received, flight)


def _which(event: Event) -> tuple[str, int, int]:
    return event["message"], event.get("round", 0), event.get("part", 0)


def _shares(
    spans: Iterable[_Span], moments: Sequence[int]
) -> Iterator[dict[str | MessageFlight, float]]:
    """Yield, between each moment and the next, the seconds spent waiting for each thing."""
    coming = deque(sorted(spans, key=lambda span: span.begin))
    under_way: list[tuple[tuple[int, int], int, _Span]] = []  # a heap; the first is waited for
    for begin, end in pairwise(moments):
        shares: dict[str | MessageFlight, float] = {}
        now = begin
        while now < end:
            while coming and coming[0].begin <= now:
                span = coming.popleft()
                heappush(under_way, (span.rank, len(coming), span))
            while under_way and under_way[0][2].end <= now:
                heappop(under_way)
            until = min(end, coming[0].begin) if coming else end
            what: str | MessageFlight = "other"
            if under_way:
                what = under_way[0][2].what
                until = min(until, under_way[0][2].end)
            shares[what] = shares.get(what, 0.0) + (until - now) / 1e9
            now = until
        yield shares


def _parts(flight: MessageFlight, route: Route, recovery: Recovery | None) -> dict[str, float]:
    """Return the share of each phase in a flight; they sum to 1.

    While one segment is retransmitted the others move on, so recovery is limited to the time beyond
    serialisation and propagation. If jitter made the flight shorter than these, queue is negative.
    """
    seconds = (flight.received - flight.sent) / 1e9
    if not seconds:
        return {}
    on_air, delay = route.on_air(flight.direction, flight.size), route.delay(flight.direction)
    beyond = seconds - on_air - delay
    lost = min(recovery(flight), max(0.0, beyond)) if recovery else 0.0
    parts = {
        "serialisation": on_air,
        "propagation": delay,
        "loss_recovery": lost,
        "queue": beyond - lost,
    }
    return {phase: part / seconds for phase, part in parts.items()}
