"""Rounds for policies to decide on and to learn from, without models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from testbed.codecs.base import Drawn
from testbed.decoding.lattice import quantise
from testbed.drafting.base import DraftLength, RoundOutcome

ROUND = RoundOutcome(
    drafted=4,
    accepted=2,
    verified=3,
    draft_s=0.08,
    wait_s=0.35,
    verifier_s=0.1,
    uplink_bytes=4040,
    downlink_bytes=48,
    uplink_payload_bits=32000,
)


def outcome(drafted: int, accepted: int, **fields) -> RoundOutcome:
    """Return a round of so many drafts; what is not given is as in ROUND."""
    verified = accepted + (accepted < drafted)
    return replace(ROUND, drafted=drafted, accepted=accepted, verified=verified, **fields)


def draft(probability: float) -> Drawn:
    """Return a draft that was drawn with this probability, to the nearest thousandth."""
    return Drawn(0, quantise(np.array([probability, 1 - probability]), 1000))


def length(policy: DraftLength, probabilities=(), bits: float = 1.0) -> int:
    """Return the number of tokens that the policy drafts in a round.

    Each has probability 1, or the one given.
    """
    drafts: list[Drawn] = []
    while policy.more(drafts) and policy.admits(drafts, bits):
        given = len(drafts) < len(probabilities)
        drafts.append(draft(probabilities[len(drafts)] if given else 1.0))
    return len(drafts)


class World:
    """Drafts that are accepted independently with α, and what a round then takes, with noise."""

    def __init__(self, seed: int, **constants) -> None:
        self.random = np.random.default_rng(seed)
        self.acceptance = 0.8
        self.draft_s = 0.02
        self.verifier_s = 0.1
        self.fixed_s = 0.05
        self.uplink = 1e5  # bytes/s
        self.draft_bytes = 1000
        self.jitter_s = 0.003
        self.change(**constants)

    def change(self, **constants) -> None:
        for name, value in constants.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def round(self, drafted: int) -> RoundOutcome:
        accepted = 0
        while accepted < drafted and self.random.random() < self.acceptance:
            accepted += 1
        up = 45 + drafted * self.draft_bytes
        jitter = self.jitter_s * abs(self.random.standard_normal())
        return outcome(
            drafted,
            accepted,
            draft_s=drafted * self.draft_s,
            verifier_s=self.verifier_s,
            wait_s=self.verifier_s + self.fixed_s + up / self.uplink + jitter,
            uplink_bytes=up,
            uplink_payload_bits=drafted * self.draft_bytes * 8,
        )

    @property
    def cost(self) -> float:
        """L, one more draft in units of what a round without any takes."""
        return (self.draft_s + self.draft_bytes / self.uplink) / (self.verifier_s + self.fixed_s)

    def gain(self, drafted: int) -> float:
        """S, written out as a sum, so that nothing is shared with what is tested."""
        tokens = sum(self.acceptance**i for i in range(drafted + 1))
        return tokens / (1 + drafted * self.cost)

    def best(self, longest: int, shortest: int = 0) -> int:
        return max(range(shortest, longest + 1), key=self.gain)
