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
from typing import NamedTuple

from testbed.counts import DraftCounts
from testbed.decoding.theory import expected_tokens
from testbed.links.spec import Duplex
from testbed.protocol.control import Result

_SEGMENT, _HEADERS = 1448, 66
"""Bytes of a message that a frame carries, with TCP's timestamps, and of its headers around it."""


class Hop(NamedTuple):
    """One direction of a link, as asked for."""

    rate: float
    """bit/s; infinite without a limit."""
    delay: float
    """Seconds."""


@dataclass(frozen=True)
class Route:
    """The links between a device and its verifier, each way in the order that messages take."""

    up: tuple[Hop, ...]
    down: tuple[Hop, ...]

    @classmethod
    def along(cls, links: Iterable[Duplex]) -> Route:
        """The route over these links, the device's first."""
        each = list(links)
        up, down = (
            tuple(Hop(direction.mean_rate or math.inf, direction.delay) for direction in directions)
            for directions in ([link.up for link in each], [link.down for link in reversed(each)])
        )
        return cls(up, down)

    @property
    def uplink(self) -> float:
        """bit/s of the slowest."""
        return min((hop.rate for hop in self.up), default=math.inf)

    @property
    def downlink(self) -> float:
        """bit/s of the slowest."""
        return min((hop.rate for hop in self.down), default=math.inf)

    @property
    def round_trip(self) -> float:
        """Seconds: all delays, both ways."""
        return self.delay("up") + self.delay("down")

    def delay(self, direction: str) -> float:
        """Seconds: all delays one way."""
        return sum(hop.delay for hop in self._hops(direction))

    def on_air(self, direction: str, size: int) -> float:
        """Seconds that a message of so many bytes takes at the links' rates, headers included.

        The slowest link sends all of it, each other one a frame more: what one sends the next
        one passes on meanwhile.
        """
        frames = -(-size // _SEGMENT)
        longest = min(size, _SEGMENT) + _HEADERS
        slowest, *others = sorted(hop.rate for hop in self._hops(direction)) or [math.inf]
        whole = 8 * (size + frames * _HEADERS) / slowest
        return whole + sum(8 * longest / rate for rate in others)

    def _hops(self, direction: str) -> tuple[Hop, ...]:
        return self.up if direction == "up" else self.down


def predict_mean_acceptance_length(counts: DraftCounts) -> float | None:
    """E[N] for a generation's draft lengths and its own acceptance rate; None without drafts."""
    rounds = sum(counts.draft_lengths)
    verified = counts.accepted + (counts.rejections or 0)
    if not rounds or not verified:
        return None
    alpha = counts.accepted / verified
    return (
        sum(
            times * (expected_tokens(alpha, length) if length else 1.0)
            for length, times in enumerate(counts.draft_lengths)
        )
        / rounds
    )


def predict_on_air(result: Result, route: Route, downlink_bits: int) -> float:
    """Seconds that the payloads take at the rates asked for.

    `downlink_bits` are those the codecs wrote; uplink bits are the formula's where there is one.
    """
    uplink_bits = result.counts.formula_bits or result.traffic.up_payload_bits
    return uplink_bits / route.uplink + downlink_bits / route.downlink
