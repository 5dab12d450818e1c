"""A method's view of the device: models, randomness, link, counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from testbed import clock
from testbed.codecs.base import Drawn
from testbed.codecs.bits import Payload, PayloadError
from testbed.counts import DraftCounts, Traffic
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.drafting.base import DraftLength, RoundOutcome
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.models.base import Logits
from testbed.models.compute.paced_reader import Passes


class VerifierLink(Protocol):
    """The device's connection to the verifier."""

    traffic: Traffic

    def ask(self, token_ids: list[int], drafts: int, upload: Payload) -> Iterator[bytes]:
        """Send a round's `upload` with `drafts` drafted tokens; yield each part of the answer.

        `token_ids` are all that the device has committed, the prompt's included; any part the
        verifier lacks is sent along.
        """


@dataclass
class DeviceContext:
    """The device's half of one generation."""

    token_ids: list[int]
    """Prompt and every committed token."""
    limit: int
    """Length of `token_ids` at which the generation ends."""
    end_tokens: frozenset[int]
    """Token ids that end the generation earlier."""
    draft: Passes
    sampling: Sampling
    random: Randomness
    drafting: DraftLength
    """The policy that decides how many tokens each round drafts."""
    verifier: VerifierLink
    trace: Tracer
    stream: str
    counts: DraftCounts = field(default_factory=DraftCounts.zero)
    round: int = 0
    """The number of the exchange in which this round's drafts are sent."""
    _passes: int = 0
    _draft_s: float = 0.0
    _wait_s: float = 0.0
    _before: Traffic = field(default_factory=Traffic.zero)

    def next_draft(self, prefix: list[int]) -> Probabilities:
        """Return the draft model's q after the token ids `prefix`, shape [V]."""
        return self._next(prefix)[0]

    def _next(self, prefix: list[int]) -> tuple[Probabilities, Logits]:
        """Return q after `prefix`, and the logits that it comes from, both of shape [V]."""
        self._passes += 1
        self.counts.draft_passes = self._passes
        with self.draft.over(prefix) as logits:
            try:
                return distribution(logits[-1], self.sampling), logits[-1]
            except ValueError as error:
                raise TestbedError(f"draft model, after {len(prefix)} tokens: {error}") from None

    @property
    def room(self) -> int:
        """The most tokens that can be drafted: the verifier adds one more to every round."""
        return self.limit - len(self.token_ids) - 1

    def propose(
        self,
        quantise: Callable[[Probabilities], Lattice | None],
        formula_bits: float | Callable[[Lattice], float],
        draw: Callable[[Lattice, int], int] | None = None,
    ) -> list[Drawn]:
        """Draft tokens, each drawn from the q̂ that `quantise` makes of q.

        Drafts until the policy stops, the limit leaves no room, an end token is drawn, or
        `quantise` returns None. `formula_bits` is the uplink cost of a draft: a number if it does
        not depend on q̂ (the policy is then asked before the draft model's pass), else a function
        of q̂. `draw(q̂, position)` draws the token; by default with randomness of this round.
        """
        draw = draw or self._draw
        drafts: list[Drawn] = []
        greedy = self.sampling.temperature == 0
        with self.drafting_round():
            while len(drafts) < self.room and self.drafting.more(drafts):
                known = None if callable(formula_bits) else formula_bits
                if not self.drafting.admits(drafts, known):
                    break
                prefix = self.token_ids + [draft.token for draft in drafts]
                raw_q, logits = self._next(prefix)
                q = quantise(raw_q)
                if q is None:
                    break
                bits = formula_bits(q) if callable(formula_bits) else formula_bits
                if known is None and not self.drafting.admits(drafts, bits):
                    break
                token = draw(q, len(prefix))
                drafts.append(Drawn(token, q, logits if greedy else None))
                self.counts.formula_bits += bits
                if token in self.end_tokens:
                    break
        return drafts

    def _draw(self, q: Lattice, position: int) -> int:
        return q.draw(self.random, "draft", position, self.counts.rounds)

    @contextmanager
    def drafting_round(self) -> Iterator[None]:
        """Open a span in which a round is drafted; its duration is reported to the policy."""
        start, passes = clock.now(), self._passes
        self._before, self._wait_s = replace(self.verifier.traffic), 0.0
        self.round = self.counts.rounds
        with self.trace.span("draft", self.stream, round=self.round) as fields:
            yield
            fields["passes"] = self._passes - passes
        self._draft_s = clock.now() - start

    def encoding(self) -> AbstractContextManager[object]:
        """Open a span in which this round's upload is written."""
        return self.trace.span("encode", self.stream, round=self.counts.rounds)

    def decoding(self) -> AbstractContextManager[object]:
        """Open a span in which the answer to the last upload is read."""
        return self.trace.span("decode", self.stream, round=self.counts.rounds - 1)

    def ask(self, upload: Payload, drafts: int = 0) -> bytes:
        """Send a round's `upload`, and return its answer, which has a single part."""
        download, *more = self.stream_answers(upload, drafts)
        if more:
            raise PayloadError(f"an answer of one part arrived in {1 + len(more)}")
        return download

    def stream_answers(self, upload: Payload, drafts: int = 0) -> Iterator[bytes]:
        """Send a round's `upload`, and yield each part of its answer."""
        self.counts.rounds += 1
        start = clock.now()
        yield from self.verifier.ask(self.token_ids, drafts, upload)
        self._wait_s += clock.now() - start

    def record(self, drafted: int, accepted: int) -> None:
        """Count the verification of one round's chain of drafts, and report it to the policy."""
        self.record_path(drafted, accepted, drafted, rejected=accepted < drafted)

    def record_path(self, drafted: int, accepted: int, length: int, *, rejected: bool) -> None:
        """Count a verification of `drafted` tokens on paths of up to `length` positions.

        `accepted` is the length of the accepted path; `rejected` is True if drafts followed it and
        none of them was accepted. All candidates for a position count as one.
        """
        self.counts.count_verification(drafted, accepted, length, rejected=rejected)
        before, after = self._before, self.verifier.traffic
        self.drafting.learn(
            RoundOutcome(
                drafted=length,
                accepted=accepted,
                verified=accepted + rejected,
                draft_s=self._draft_s,
                wait_s=self._wait_s,
                verifier_s=after.verifier_s - before.verifier_s,
                uplink_bytes=after.up_bytes - before.up_bytes,
                downlink_bytes=after.down_bytes - before.down_bytes,
                uplink_payload_bits=after.up_payload_bits - before.up_payload_bits,
            )
        )
