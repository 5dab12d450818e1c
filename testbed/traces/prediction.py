"""What the papers' model of a round predicts for a text, to be shown beside what was measured.

Each round takes γ T_SLM + T_LLM + bits / R + T_NTT and emits E[N] tokens (testbed.decoding.theory).
Fed with the acceptance rate and the compute times of the text itself, with the bits of the paper's
formula and with the rate and delay that were *asked* of the links, it leaves out what only a
network has: headers, TCP, queues, losses, jitter, and drafts that were not independent. It also
leaves out the prompt, which goes up and is read once, and shows in short texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from testbed.control import Result
from testbed.decoding.theory import expected_tokens
from testbed.links.spec import Duplex


@dataclass(frozen=True)
class Route:
    """The links between a device and its verifier, as asked for."""

    uplink: float
    """bit/s, of the slowest; infinite without a limit."""
    downlink: float
    round_trip: float
    """Seconds: all delays, both ways."""

    @classmethod
    def along(cls, links: Iterable[Duplex]) -> Route:
        """The route over these links."""
        each = list(links)
        return cls(
            min((link.up.mean_rate or math.inf for link in each), default=math.inf),
            min((link.down.mean_rate or math.inf for link in each), default=math.inf),
            sum(link.up.delay + link.down.delay for link in each),
        )


def predict_tokens_per_round(result: Result) -> float | None:
    """E[N] for the draft lengths of a text and its own rate of acceptance; None without drafts."""
    rounds = sum(result.draft_lengths)
    looked_at = result.accepted + result.rejections
    if not rounds or not looked_at:
        return None
    alpha = result.accepted / looked_at
    return (
        sum(
            times * (expected_tokens(alpha, length) if length else 1.0)
            for length, times in enumerate(result.draft_lengths)
        )
        / rounds
    )


def predict_on_air(result: Result, route: Route, downlink_bits: int) -> float:
    """Seconds that the payloads take at the rates asked for.

    `downlink_bits` are those the codecs wrote; uplink bits are the formula's where there is one.
    """
    uplink_bits = result.formula_bits or result.up_payload_bits
    return uplink_bits / route.uplink + downlink_bits / route.downlink
