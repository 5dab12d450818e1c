"""Metrics of a generation that its events give: each is declared and computed once, here.

Rows of summary.json hold them as `events`. To add one, declare and compute it here and show it in a
table (testbed.analysis.tables): no module in between names it. Give a new field a default; rows of
earlier commits are read with it. The fields below have none, because every row with `events` has
them all; testbed.results.old_keys completes older rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

import msgspec

from testbed.counts import Amount, Count
from testbed.events import Event

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Seconds of emulated time; negative only through the rounding of a difference."""

DEVICE_COMPUTE = {"draft", "encode", "decode", "resample"}
VERIFIER_COMPUTE = {"prefill", "verify"}


class EventMetrics(msgspec.Struct, kw_only=True):
    """Times of computing, what the verifier sent, and how close its quantised targets were.

    A time counts once, however many spans cover it, and only within the generation's own time.
    """

    device_compute_s: Seconds
    """Seconds in which the device computed."""
    verifier_compute_s: Seconds
    """Seconds in which the verifier computed for this generation."""
    verify_s: Seconds
    """The part of `verifier_compute_s` that did not go into reading the prompt."""
    network_s: Seconds
    """Seconds in which neither node computed for this generation.

    Where several devices decode at the same time, the verifier may have been busy with others."""
    downlink_payload_bits: Count
    """Bits of the payloads that the verifier sent."""
    downlink_message_bytes: Count
    """Bytes of the messages that the verifier sent."""
    target_tv: Amount | None
    """Mean TV(p, p̂) over the positions where the method used a quantised target."""


def event_metrics(
    device: Sequence[Event], verifier: Sequence[Event], start: float, seconds: float
) -> EventMetrics:
    """Return the metrics of one generation from the events that both nodes wrote of it.

    `start` is when the device received the prompt, in seconds of testbed.clock; the last token was
    committed `seconds` later.
    """
    window = (round(start * 1e9), round((start + seconds) * 1e9))
    device_spans = _spans(device, DEVICE_COMPUTE, window)
    verifier_spans = _spans(verifier, VERIFIER_COMPUTE, window)
    sent = [event for event in verifier if event["event"] == "send"]
    distances = [event["tv"] for event in verifier if event["event"] == "quantise_target"]
    return EventMetrics(
        device_compute_s=_length(device_spans),
        verifier_compute_s=_length(verifier_spans),
        verify_s=_length(_spans(verifier, {"verify"}, window)),
        network_s=seconds - _length(device_spans + verifier_spans),
        downlink_payload_bits=sum(event.get("payload_bits", 0) for event in sent),
        downlink_message_bytes=sum(event["bytes"] for event in sent),
        target_tv=sum(distances) / len(distances) if distances else None,
    )


def _spans(
    events: Iterable[Event], names: set[str], window: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return (start, end) in ns of the named spans, cut to the window."""
    begin, end = window
    spans = [
        (max(event["t"], begin), min(event["t"] + event["dur"], end))
        for event in events
        if event["event"] in names
    ]
    return [(a, b) for a, b in spans if a < b]


def _length(spans: list[tuple[int, int]]) -> float:
    """Return the seconds that at least one span covers."""
    total, reached = 0, 0
    for a, b in sorted(spans):
        total += max(0, b - max(a, reached))
        reached = max(reached, b)
    return total / 1e9
