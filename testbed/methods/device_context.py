"""A method's view of the device: models, randomness, verifier, counts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from msgspec.structs import replace

from testbed.codecs.base import Drawn
from testbed.codecs.bits import Payload, PayloadError
from testbed.counts import DraftCounts, Traffic
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.drafting.base import DraftLength, RoundOutcome
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.methods.effects import Commit, Effects, NextPart, Now, Part, Pass, Send, T
from testbed.models.base import Logits
from testbed.models.compute.paced_reader import Passes


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
    drafting_policy: DraftLength
    """The policy that decides how many tokens each round drafts."""
    traffic: Traffic
    """Messages to and from the verifier so far."""
    trace: Tracer
    stream: str
    counts: DraftCounts = field(default_factory=DraftCounts.zero)
    round: int = 0
    """The number of the exchange in which this round's drafts are sent."""
    _passes: int = 0
    _draft_s: float = 0.0
    _wait_s: float = 0.0
    _before: Traffic = field(default_factory=Traffic.zero)

    def next_draft(self, prefix: list[int]) -> Effects[Probabilities]:
        """Return the draft model's q after the token ids `prefix`, shape [V]."""
        found: tuple[Probabilities, Logits] = yield self._pass(prefix)
        return found[0]

    def _pass(self, prefix: list[int]) -> Pass:
        """Return a pass for q after `prefix`, and the logits that it comes from, both shape [V]."""
        self._passes += 1
        self.counts.draft_passes = self._passes

        def sampled(logits: Logits) -> tuple[Probabilities, Logits]:
            try:
                return distribution(logits[-1], self.sampling), logits[-1]
            except ValueError as error:
                raise TestbedError(f"draft model, after {len(prefix)} tokens: {error}") from None

        return Pass(self.draft, prefix, 1, sampled)

    @property
    def room(self) -> int:
        """The most tokens that can be drafted: the verifier adds one more to every round."""
        return self.limit - len(self.token_ids) - 1

    def propose(
        self,
        quantise: Callable[[Probabilities], Lattice | None],
        formula_bits: float | Callable[[Lattice], float],
        draw: Callable[[Lattice, int], int] | None = None,
    ) -> Effects[list[Drawn]]:
        """Draft tokens, each drawn from the q̂ that `quantise` makes of q.

        Drafts until the policy stops, the limit leaves no room, an end token is drawn, or
        `quantise` returns None. `formula_bits` is the uplink cost of a draft: a number if it does
        not depend on q̂ (the policy is then asked before the draft model's pass), else a function
        of q̂. `draw(q̂, position)` draws the token; by default with randomness of this round.
        """
        return self.drafting(self._chain(quantise, formula_bits, draw or self._draw))

    def _chain(
        self,
        quantise: Callable[[Probabilities], Lattice | None],
        formula_bits: float | Callable[[Lattice], float],
        draw: Callable[[Lattice, int], int],
    ) -> Effects[list[Drawn]]:
        drafts: list[Drawn] = []
        greedy = self.sampling.temperature == 0
        while len(drafts) < self.room and self.drafting_policy.more(drafts):
            known = None if callable(formula_bits) else formula_bits
            if not self.drafting_policy.admits(drafts, known):
                break
            prefix = self.token_ids + [draft.token for draft in drafts]
            raw_q, logits = yield self._pass(prefix)
            q = quantise(raw_q)
            if q is None:
                break
            bits = formula_bits(q) if callable(formula_bits) else formula_bits
            if known is None and not self.drafting_policy.admits(drafts, bits):
                break
            token = draw(q, len(prefix))
            drafts.append(Drawn(token, q, logits if greedy else None))
            self.counts.formula_bits += bits
            if token in self.end_tokens:
                break
        return drafts

    def _draw(self, q: Lattice, position: int) -> int:
        return q.draw(self.random, "draft", position, self.counts.rounds)

    def drafting(self, drafts: Effects[T]) -> Effects[T]:
        """Draft a round by `drafts`, record the span, and time it for the policy."""
        start: int = yield Now()
        passes = self._passes
        self._before, self._wait_s = replace(self.traffic), 0.0
        self.round = self.counts.rounds
        drafted = yield from drafts
        end: int = yield Now()
        self._draft_s = (end - start) * 1e-9
        self.trace.past_span(
            "draft", self.stream, start, end, round=self.round, passes=self._passes - passes
        )
        return drafted

    def encoding(self) -> AbstractContextManager[object]:
        """Open a span in which this round's upload is written."""
        return self.trace.span("encode", self.stream, round=self.counts.rounds)

    def decoding(self) -> AbstractContextManager[object]:
        """Open a span in which the answer to the last upload is read."""
        return self.trace.span("decode", self.stream, round=self.counts.rounds - 1)

    def send(self, upload: Payload, drafts: int = 0) -> Effects[None]:
        """Send a round's `upload` with so many drafted tokens, without waiting for its answer."""
        self.counts.rounds += 1
        yield Send(upload, drafts)

    def next_part(self) -> Effects[Part]:
        """Wait for the next part of the answer to the last upload."""
        part: Part = yield NextPart()
        self._wait_s += part.seconds
        return part

    def answer(self) -> Effects[bytes]:
        """Wait for the answer to the last upload, which has a single part."""
        part = yield from self.next_part()
        payload, parts = part.payload, 1
        while not part.last:
            part, parts = (yield from self.next_part()), parts + 1
        if parts > 1:
            raise PayloadError(f"an answer of one part arrived in {parts}")
        return payload

    def ask(self, upload: Payload, drafts: int = 0) -> Effects[bytes]:
        """Send a round's `upload`, and wait for its answer, which has a single part."""
        yield from self.send(upload, drafts)
        return (yield from self.answer())

    def commit(self, tokens: list[int]) -> Effects[None]:
        """Commit tokens; the half is not resumed once the generation has ended."""
        yield Commit(tokens)

    def record(self, drafted: int, accepted: int) -> None:
        """Count the verification of one round's chain of drafts, and report it to the policy."""
        self.record_path(drafted, accepted, drafted, rejected=accepted < drafted)

    def record_path(self, drafted: int, accepted: int, length: int, *, rejected: bool) -> None:
        """Count a verification of `drafted` tokens on paths of up to `length` positions.

        `accepted` is the length of the accepted path; `rejected` is True if drafts followed it and
        none of them was accepted. All candidates for a position count as one.
        """
        self.counts.count_verification(drafted, accepted, length, rejected=rejected)
        before, after = self._before, self.traffic
        self.drafting_policy.learn(
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
