"""A row of summary.json, made from the records of the nodes and the links."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from testbed.analysis.prediction import Route, predict_mean_acceptance_length, predict_on_air
from testbed.events import Event
from testbed.protocol.control import Result
from testbed.results.event_metrics import event_metrics
from testbed.results.rows import Backend, Row, WireBytes
from testbed.results.verdict import Level


def summarise(
    *,
    label: str,
    point: dict[str, Any],
    repetition: int,
    prompt: int,
    name: str = "device",
    result: Result,
    device: list[Event],
    verifier: list[Event],
    links: dict[str, WireBytes],
    own_links: Sequence[str],
    route: Route | None,
    verdict: Level,
    reasons: list[str],
    time_dilation: float = 1.0,
    redecodes: int = 0,
    backend: Backend,
    extrapolated: Sequence[str] = (),
) -> Row:
    """Return one row from a result, both nodes' events of the generation, and the links' counters.

    `name` is the device's, `own_links` has the names of its links, and `route` leads to the
    verifier; None where links changed, so that nothing can be predicted.
    """
    seconds = result.times[-1]
    events = event_metrics(device, verifier, result.start, seconds)
    counts = result.counts
    verification_rounds = sum(counts.draft_lengths)
    length = predict_mean_acceptance_length(counts)
    on_air = predict_on_air(result, route, events.downlink_payload_bits) if route else None
    speed = None
    if route and on_air is not None:
        emitted = length * verification_rounds if length else len(result.tokens)
        waits = counts.rounds * route.round_trip
        speed = emitted / (events.device_compute_s + events.verify_s + on_air + waits)
    return Row(
        method=label,
        repeat=repetition,
        point=point,
        prompt=prompt,
        device=name,
        backend=backend,
        start_s=result.start,
        tokens=len(result.tokens),
        seconds=seconds,
        tokens_per_second=len(result.tokens) / seconds,
        ttft_s=result.times[0],
        counts=counts,
        traffic=result.traffic,
        events=events,
        verification_rounds=verification_rounds,
        acceptance_rate=counts.accepted / counts.verified if counts.verified else None,
        uplink_wire_bytes=sum(links[name].up_bytes for name in own_links),
        downlink_wire_bytes=sum(links[name].down_bytes for name in own_links),
        links=links,
        predicted_mean_acceptance_length=length,
        predicted_tokens_per_second=speed,
        predicted_on_air_s=on_air,
        output_sha256=hashlib.sha256(msgspec.json.encode(result.tokens)).hexdigest(),
        verdict=verdict,
        reasons=reasons,
        time_dilation=time_dilation,
        redecodes=redecodes,
        token_s=[round(seconds, 6) for seconds in result.times],
        extrapolated=list(extrapolated),
    )
