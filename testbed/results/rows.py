"""A row of summary.json: everything that was measured of one generation.

What the device counts is declared in testbed.counts, what events give in
testbed.results.event_metrics. `pandas.json_normalize(summary["rows"])` makes a column of each leaf:
`tokens_per_second`, `counts.accepted`, `traffic.up_bytes`, `events.network_s`,
`links.radio.up_bytes`, `phases.draft`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from testbed.bounds import Share
from testbed.clock import LARGEST_DILATION
from testbed.counts import Amount, Count, DraftCounts, Traffic
from testbed.results.event_metrics import EventMetrics, Seconds
from testbed.results.verdict import Level

Backend: TypeAlias = Literal["netem", "guest netem", "relay", "simulated", "emulated"]
"""The backend that carried the packets of a generation; with `simulated` there were none, as it was
computed in virtual time. `emulated` stands for any of the first three in results of version 3 and
before, which did not name it."""
EMULATED: Backend = "emulated"

SHORTEST = 1e-7
"""Seconds; less than any generation takes, more than the rounding error of a time of 1e9 s."""


class WireBytes(msgspec.Struct):
    """Bytes, packets and drops of one link in each direction.

    Bytes are whole Ethernet frames that entered the link, retransmissions included.
    """

    up_bytes: Count
    up_packets: Count
    up_dropped: Count
    down_bytes: Count
    down_packets: Count
    down_dropped: Count


class Row(msgspec.Struct, kw_only=True):
    """One generation: a prompt decoded by one method on one device, at one point of the sweep.

    Every time and rate is in emulated time. Payload bits are those that the codec wrote, message
    bytes those that ZeroMQ was given, wire bytes whole Ethernet frames on the device's own links.

    Where several devices decode at the same time, each has a link of its own in front of the shared
    one. Its uplink counts are what the device sent into the shared link, its downlink counts what
    reached the device after the drops of the shared link. In `links`, the entry of a device's own
    link counts this device alone; the entry of a shared link counts all devices together and is the
    same in each of their rows.
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
    backend: Backend
    """The backend of its links, the same in all rows of a results directory."""
    start_s: Seconds = 0.0
    """The time at which the device received the prompt, by testbed.clock; 0 in older results."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """New tokens."""
    seconds: Annotated[float, msgspec.Meta(ge=SHORTEST, le=1e9)]
    """Seconds from the prompt until the last token is committed on the device."""
    tokens_per_second: Amount
    """`tokens` / `seconds`."""
    ttft_s: Seconds
    """TTFT: seconds from the prompt until the first token is committed on the device."""
    counts: DraftCounts
    """Drafts and their verification, counted by the device."""
    traffic: Traffic
    """Messages, counted by the device."""
    events: EventMetrics
    """Times and sums of the events that both nodes wrote."""
    verification_rounds: Count
    """Verifications of drafts; some methods need several exchanges for one verification."""
    acceptance_rate: Share | None
    """`counts.accepted` / `counts.verified`; None where nothing was verified."""
    uplink_wire_bytes: Count
    """Bytes of frames that the device sent."""
    downlink_wire_bytes: Count
    """Bytes of frames towards the device."""
    links: dict[str, WireBytes]
    """Frames on each link, by its name."""
    predicted_mean_acceptance_length: Amount | None
    """Mean acceptance length by testbed.analysis.prediction; None without drafts."""
    predicted_tokens_per_second: Amount | None
    """Tokens/s by testbed.analysis.prediction; None where the links change."""
    predicted_on_air_s: Seconds | None
    """Seconds that the payloads take at the rates asked for."""
    output_sha256: str
    """SHA-256 of the token ids as a JSON list."""
    verdict: Level
    """The soundness of this generation."""
    reasons: list[str]
    """The reasons for a verdict other than valid."""
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """The factor by which everything ran slower; times and rates are given without it."""
    redecodes: Count = 0
    """Earlier generations of this prompt that were dropped because passes were late."""
    token_s: list[Seconds] = []
    """Seconds from the prompt at which each token was committed."""
    round_s: list[Seconds] = []
    """Seconds of each round, by testbed.analysis.phases."""
    phases: dict[str, Seconds] = {}
    """Seconds of all rounds in each phase of testbed.analysis.phases; empty if not known."""
    extrapolated: list[str] = []
    """Quantities of a simulated generation outside the range in which simulation was compared with
    emulation, see testbed.analysis.validity."""
