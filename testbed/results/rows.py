"""A row of summary.json: one generation, everything that was measured of it.

What the device counts is declared in testbed.counts. `pandas.json_normalize(summary["rows"])` makes
a column of each leaf: `tokens_per_second`, `counts.accepted`, `traffic.up_bytes`,
`links.radio.up_bytes`, `phases.draft`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from testbed.bounds import Share
from testbed.clock import LARGEST_DILATION
from testbed.counts import Amount, Count, DraftCounts, Traffic
from testbed.results.verdict import Level

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Negative only where a difference was rounded."""


SHORTEST = 1e-7
"""Seconds: fewer than any generation takes in dilated time, more than are lost behind 1e9 s."""


class WireBytes(msgspec.Struct):
    """What one link took in, each direction: whole Ethernet frames, retransmissions included."""

    up_bytes: Count
    up_packets: Count
    up_dropped: Count
    down_bytes: Count
    down_packets: Count
    down_dropped: Count


class Row(msgspec.Struct, kw_only=True):
    """One generation: a prompt decoded by one method on one device, at one point of the sweep.

    Every time and rate is in emulated time. Payload bits are those the codec wrote, message bytes
    are ZeroMQ frames, wire bytes whole Ethernet frames on the device's own links.

    Where several devices decode at the same time, the device's own link is the plain one that leads
    to the shared one: up it carries what the device sends into the shared link, but down only what
    that has not dropped. In `links` its entry is the device's alone, and that of a shared link is
    of all devices together, the same in each of their rows.
    """

    method: str
    """The method's label in the scenario."""
    repeat: Count
    """The repetition, from 0."""
    point: dict[str, Any]
    """The values of the sweep's keys; empty without a sweep."""
    prompt: Count
    """The number of the prompt in the scenario, from 0."""
    device: str = "device"
    """The device that decoded it."""
    start_s: Seconds = 0.0
    """When the prompt was handed over, in seconds of testbed.clock; 0 in older results."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """New tokens."""
    seconds: Annotated[float, msgspec.Meta(ge=SHORTEST, le=1e9)]
    """Seconds from the prompt to the last token, committed on the device."""
    tokens_per_second: Amount
    """`tokens` / `seconds`."""
    ttft_s: Seconds
    """TTFT, time to first token: seconds from the prompt until it is committed on the device."""
    counts: DraftCounts
    """Drafts and their verification, counted by the device."""
    traffic: Traffic
    """Messages, counted by the device."""
    verification_rounds: Count
    """Verifications of drafts; a method may need more than one exchange for one."""
    acceptance_rate: Share | None
    """`counts.accepted` / `counts.verified`; None where nothing was verified."""
    uplink_wire_bytes: Count
    """Bytes of frames that the device sent."""
    downlink_payload_bits: Count
    """Bits of the payloads that the verifier sent."""
    downlink_message_bytes: Count
    """Bytes of the messages that the verifier sent."""
    downlink_wire_bytes: Count
    """Bytes of frames towards the device."""
    links: dict[str, WireBytes]
    """Frames on each link, by its name."""
    target_tv: Amount | None
    """Mean TV(p, p̂) over the positions where the method used a quantised target."""
    device_compute_s: Seconds
    """Seconds in which the device computed."""
    verifier_compute_s: Seconds
    """Seconds in which the verifier computed for this generation."""
    verify_s: Seconds
    """Of these, the seconds that did not go into reading the prompt."""
    network_s: Seconds
    """Seconds in which neither node computed for this generation.

    Where several devices decode at the same time, the verifier may have been busy with others."""
    predicted_mean_acceptance_length: Amount | None
    """See testbed.analysis.prediction; None without drafts."""
    predicted_tokens_per_second: Amount | None
    """None where the links change."""
    predicted_on_air_s: Seconds | None
    """Seconds that the payloads take at the rates asked for."""
    output_sha256: str
    """SHA-256 of the token ids as a JSON list."""
    verdict: Level
    """The soundness of this generation."""
    reasons: list[str]
    """Why it is not valid."""
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """How many times as slow everything ran; all times and rates are as if it had not."""
    redecodes: Count = 0
    """How often the prompt had been decoded before, with late passes; that counts nowhere."""
    token_s: list[Seconds] = []
    """Seconds from the prompt at which each token was committed."""
    round_s: list[Seconds] = []
    """Seconds of each round, see testbed.analysis.phases."""
    phases: dict[str, Seconds] = {}
    """Seconds of all rounds, by what they were for; empty where nothing is known of it."""
