"""From what the nodes and the links recorded to one row of summary.json."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from testbed.bounds import Share
from testbed.clock import LARGEST_DILATION
from testbed.events import Event
from testbed.protocol.control import Result
from testbed.traces.prediction import Route, predict_on_air, predict_tokens_per_round
from testbed.traces.verdict import Level

DEVICE_COMPUTE = {"draft", "encode", "decode", "resample"}
VERIFIER_COMPUTE = {"prefill", "verify"}


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2.0**53)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Negative only where a difference was rounded."""
SHORTEST = 1e-7
"""Seconds of a text: fewer than any takes in dilated time, more than are lost behind 1e9 s."""


class WireBytes(msgspec.Struct):
    """What one link took in, each way: whole Ethernet frames, retransmissions included."""

    up_bytes: Count
    up_packets: Count
    up_dropped: Count
    down_bytes: Count
    down_packets: Count
    down_dropped: Count


class Row(msgspec.Struct, kw_only=True):
    """One text decoded by one method on one device, at one point of the scenario's sweep.

    `acceptance_rate` is accepted / tested; it is None when nothing was tested. Both are of
    positions: several candidates for one are one (in older results each counted; `rejections` never
    counted them). Payload bits are those the codec
    wrote, formula bits the drafts' by the method's paper, message bytes the ZeroMQ frames,
    wire bytes whole Ethernet frames on the device's own links. `network_s` is the time in which
    neither node was computing for this text.

    Where several devices decode at the same time, the device's own link is the plain one that leads
    to the shared one: up it carries what the device sends into the shared link, but down only what
    that has not dropped. In `links` its entry is the device's alone, and that of a shared link is
    of all devices together, the same in each of their rows. `network_s` then includes the time in
    which the verifier was busy with other texts.
    """

    method: str
    repeat: Count
    point: dict[str, Any]
    prompt: Count
    device: str = "device"
    start_s: Seconds = 0.0
    """When the prompt was handed over, in seconds of testbed.clock; 0 in older results."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    seconds: Annotated[float, msgspec.Meta(ge=SHORTEST, le=1e9)]
    tokens_per_second: Amount
    ttft_s: Seconds
    rounds: Count
    """Exchanges: questions to the verifier, each with its answer; see `verdicts`."""
    draft_passes: Count | None = None
    """Passes of the draft model, also those that yielded no draft; None in older results."""
    drafted: Count
    tested: Count
    """Positions at which drafts were verified: none behind a rejection."""
    accepted: Count
    """Of these, those at which one was accepted."""
    acceptance_rate: Share | None
    uplink_formula_bits: Amount
    """Bits of all drafts by the formula of the method's paper: no prompt, no resampled ids."""
    uplink_payload_bits: Count
    uplink_message_bytes: Count
    uplink_wire_bytes: Count
    downlink_payload_bits: Count
    downlink_message_bytes: Count
    downlink_wire_bytes: Count
    links: dict[str, WireBytes]
    resends: Count
    target_tv: Amount | None
    """Mean TV(p, p̂) over the positions where the method used a quantised target."""
    device_compute_s: Seconds
    verifier_compute_s: Seconds
    verify_s: Seconds
    """Of these seconds, those that did not go into reading the prompt."""
    network_s: Seconds
    verdicts: Count
    """Verifications of drafts; a method may need more than one exchange for one."""
    predicted_tokens_per_round: Amount | None
    """See testbed.traces.prediction; None without drafts."""
    predicted_tokens_per_second: Amount | None
    """None where the links change."""
    predicted_on_air_s: Seconds | None
    """Seconds that the payloads take at the rates asked for."""
    output_sha256: str
    verdict: Level
    reasons: list[str]
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """How many times as slow everything ran; all times and rates are as if it had not."""
    again: Count = 0
    """How often the text had been decoded before, with late passes; that counts nowhere."""
    rejections: Count | None = None
    """Positions at which every draft was rejected; None in older results."""
    tested_at: list[Count] = []
    """How often drafts were verified in the first, second, … place of a round."""
    accepted_at: list[Count] = []
    """Of these, how often one was accepted there."""
    token_s: list[Seconds] = []
    """Seconds from the prompt at which each token was certain."""
    round_s: list[Seconds] = []
    """Seconds of each round, see testbed.traces.phases."""
    phases: dict[str, Seconds] = {}
    """Seconds of all rounds, by what they were for; empty where nothing is known of it."""


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
    again: int = 0,
) -> Row:
    """One row from a result, both nodes' events of that text, and the links' counters.

    `name` is the device's, and `own_links` those of its links; `route` its way to the verifier,
    None when that changed and nothing can be predicted.
    """
    seconds = result.times[-1]
    window = (round(result.start * 1e9), round((result.start + seconds) * 1e9))
    device_spans = _spans(device, DEVICE_COMPUTE, window)
    verifier_spans = _spans(verifier, VERIFIER_COMPUTE, window)
    verify_s = _length(_spans(verifier, {"verify"}, window))
    sent = [event for event in verifier if event["event"] == "send"]
    distances = [event["tv"] for event in verifier if event["event"] == "quantise_target"]
    downlink_bits = sum(event.get("payload_bits", 0) for event in sent)
    per_round = predict_tokens_per_round(result)
    on_air = predict_on_air(result, route, downlink_bits) if route else None
    speed = None
    if route and on_air is not None:
        emitted = per_round * sum(result.draft_lengths) if per_round else len(result.tokens)
        waits = result.rounds * route.round_trip
        speed = emitted / (_length(device_spans) + verify_s + on_air + waits)
    return Row(
        method=label,
        repeat=repetition,
        point=point,
        prompt=prompt,
        device=name,
        start_s=result.start,
        tokens=len(result.tokens),
        seconds=seconds,
        tokens_per_second=len(result.tokens) / seconds,
        ttft_s=result.times[0],
        rounds=result.rounds,
        draft_passes=result.draft_passes,
        drafted=result.drafted,
        tested=result.tested,
        accepted=result.accepted,
        acceptance_rate=result.accepted / result.tested if result.tested else None,
        uplink_formula_bits=result.formula_bits,
        uplink_payload_bits=result.up_payload_bits,
        uplink_message_bytes=result.up_bytes,
        uplink_wire_bytes=sum(links[name].up_bytes for name in own_links),
        downlink_payload_bits=downlink_bits,
        downlink_message_bytes=sum(event["bytes"] for event in sent),
        downlink_wire_bytes=sum(links[name].down_bytes for name in own_links),
        links=links,
        resends=result.resends,
        target_tv=sum(distances) / len(distances) if distances else None,
        device_compute_s=_length(device_spans),
        verifier_compute_s=_length(verifier_spans),
        verify_s=verify_s,
        network_s=seconds - _length(device_spans + verifier_spans),
        verdicts=sum(result.draft_lengths),
        predicted_tokens_per_round=per_round,
        predicted_tokens_per_second=speed,
        predicted_on_air_s=on_air,
        output_sha256=hashlib.sha256(msgspec.json.encode(result.tokens)).hexdigest(),
        verdict=verdict,
        reasons=reasons,
        time_dilation=time_dilation,
        again=again,
        rejections=result.rejections,
        tested_at=result.tested_at,
        accepted_at=result.accepted_at,
        token_s=[round(seconds, 6) for seconds in result.times],
    )


def by_point(rows: list[Row]) -> list[tuple[dict[str, Any], list[Row]]]:
    """Rows of each point of the sweep, points in the order of the scenario."""
    points: list[dict[str, Any]] = []
    for row in rows:
        if row.point not in points:
            points.append(row.point)
    return [(point, [row for row in rows if row.point == point]) for point in points]


def dilation_text(rows: Sequence[Row]) -> str:
    """By how much time was dilated, for people; empty if it was not."""
    factors = sorted({row.time_dilation for row in rows})
    if factors in ([], [1.0]):
        return ""
    slow = " or ".join(f"{factor:g}" for factor in factors)
    return f"in emulated time; everything ran {slow} times as slow"


def together_seconds(rows: Sequence[Row]) -> float:
    """How long the rows of one method took, texts that were decoded together counting once.

    Theirs is the time from the first start to the last end.
    """
    together: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        together.setdefault((row.repeat, row.prompt), []).append(row)
    return sum(
        max(row.start_s + row.seconds for row in mine) - min(row.start_s for row in mine)
        for mine in together.values()
    )


def together_speed(rows: Sequence[Row]) -> float:
    """Tokens/s that all devices make together, by the rows of one method."""
    return sum(row.tokens for row in rows) / together_seconds(rows)


def _spans(
    events: Iterable[Event], names: set[str], window: tuple[int, int]
) -> list[tuple[int, int]]:
    """(start, end) in ns of the named spans, cut to the window."""
    begin, end = window
    spans = [
        (max(event["t"], begin), min(event["t"] + event["dur"], end))
        for event in events
        if event["event"] in names
    ]
    return [(a, b) for a, b in spans if a < b]


def _length(spans: list[tuple[int, int]]) -> float:
    """Seconds covered by at least one span."""
    total, reached = 0, 0
    for a, b in sorted(spans):
        total += max(0, b - max(a, reached))
        reached = max(reached, b)
    return total / 1e9
