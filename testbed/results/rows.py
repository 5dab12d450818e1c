"""A row of summary.json: one generation, everything that was measured of it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from testbed.bounds import Share
from testbed.clock import LARGEST_DILATION
from testbed.results.verdict import Level

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
    """See testbed.analysis.prediction; None without drafts."""
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
    """Seconds of each round, see testbed.analysis.phases."""
    phases: dict[str, Seconds] = {}
    """Seconds of all rounds, by what they were for; empty where nothing is known of it."""
