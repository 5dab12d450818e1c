"""Predictions of the papers' model of a round, to compare with measurements.

Each round takes γ T_SLM + T_LLM + bits / R + T_NTT and emits E[N] tokens (testbed.decoding.theory).
Acceptance rate and compute times are those of the generation, the bits those of the paper's
formula, rate and delay those *asked* of the links. The model leaves out headers, TCP, queues,
losses and jitter, and assumes that drafts are accepted independently. It also leaves out the
upload and reading of the prompt, which matters in short generations.
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
"""Bytes of a message in one frame, with TCP's timestamps, and bytes of its headers."""


class Hop(NamedTuple):
    """One direction of a link, as asked for."""

    rate: float
    """bit/s; infinite without a limit."""
    delay: float
    """Seconds."""


@dataclass(frozen=True)
class Route:
    """The links between a device and its verifier, in the order that messages pass them."""

    up: tuple[Hop, ...]
    down: tuple[Hop, ...]

    @classmethod
    def along(cls, links: Iterable[Duplex]) -> Route:
        """Return the route over these links, given from the device to the verifier."""
        each = list(links)
        up, down = (
            tuple(Hop(direction.mean_rate or math.inf, direction.delay) for direction in directions)
            for directions in ([link.up for link in each], [link.down for link in reversed(each)])
        )
        return cls(up, down)

    @property
    def uplink(self) -> float:
        """bit/s of the slowest link up."""
        return min((hop.rate for hop in self.up), default=math.inf)

    @property
    def downlink(self) -> float:
        """bit/s of the slowest link down."""
        return min((hop.rate for hop in self.down), default=math.inf)

    @property
    def round_trip(self) -> float:
        """Seconds: the sum of all delays in both directions."""
        return self.delay("up") + self.delay("down")

    def delay(self, direction: str) -> float:
        """Return the sum of all delays in one direction, in seconds."""
        return sum(hop.delay for hop in self._hops(direction))

    def on_air(self, direction: str, size: int) -> float:
        """Return the seconds of serialisation of a message of `size` bytes, headers included.

        Links work at the same time: the slowest one serialises the whole message, and each other
        one adds the time of a single frame.
        """
        frames = -(-size // _SEGMENT)
        longest = min(size, _SEGMENT) + _HEADERS
        slowest, *others = sorted(hop.rate for hop in self._hops(direction)) or [math.inf]
        whole = 8 * (size + frames * _HEADERS) / slowest
        return whole + sum(8 * longest / rate for rate in others)

    def _hops(self, direction: str) -> tuple[Hop, ...]:
        return self.up if direction == "up" else self.down


def predict_mean_acceptance_length(counts: DraftCounts) -> float | None:
    """Return E[N] for a generation's draft lengths and acceptance rate; None without drafts."""
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
    """Return the seconds that the payloads take at the rates asked for.

    `downlink_bits` are those that the codecs wrote; uplink bits are the formula's if there is one.
    """
    uplink_bits = result.counts.formula_bits or result.traffic.up_payload_bits
    return uplink_bits / route.uplink + downlink_bits / route.downlink
