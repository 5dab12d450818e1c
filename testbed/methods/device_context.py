"""The surroundings of a method on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from testbed import clock
from testbed.codecs.base import Drawn
from testbed.codecs.bits import Payload, PayloadError
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.drafting.base import DraftLength, RoundOutcome
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.models.base import Logits
from testbed.models.compute.paced_reader import Passes


@dataclass
class Traffic:
    """What went over the line for one text, resends included."""

    up_messages: int = 0
    up_bytes: int = 0
    """Frames as handed to the transport: header and payload."""
    up_payload_bits: int = 0
    down_messages: int = 0
    down_bytes: int = 0
    resends: int = 0
    verifier_s: float = 0.0
    """Seconds that the verifier worked on its answers, as these say."""


class VerifierLink(Protocol):
    """The device's line to the verifier."""

    traffic: Traffic

    def ask(self, text: list[int], drafts: int, upload: Payload) -> Iterator[bytes]:
        """One round: send `upload` with `drafts` drafted tokens, yield each part of the answer.

        `text` is everything committed on the device; what the verifier lacks of it travels along.
        """


@dataclass
class DraftCounts:
    """What a device counts while it decodes one text."""

    rounds: int = 0
    """Exchanges with the verifier: a question and its answer."""
    draft_passes: int = 0
    """Passes of the draft model, also those of which nothing was drafted."""
    drafted: int = 0
    """Tokens drafted for the verifier."""
    tested: int = 0
    """Positions at which drafts were verified: none behind a rejection."""
    accepted: int = 0
    """Of these, those at which one was accepted."""
    rejections: int = 0
    """The others: every draft was rejected."""
    tested_at: list[int] = field(default_factory=list)
    """How often drafts were verified in the first, second, … place of a round."""
    accepted_at: list[int] = field(default_factory=list)
    """Of these, how often one was accepted there."""
    draft_lengths: list[int] = field(default_factory=list)
    """How many rounds drafted 0, 1, 2, … tokens in a row."""
    formula_bits: float = 0.0
    """Uplink bits of the drafts by the method's own formula."""


@dataclass
class DeviceContext:
    """The device's half of one text."""

    text: list[int]
    """Prompt and every committed token."""
    limit: int
    """Length of the text at which it is finished."""
    end_tokens: frozenset[int]
    """Ids that finish the text earlier."""
    draft: Passes
    sampling: Sampling
    random: Randomness
    drafting: DraftLength
    """Decides how many tokens each round drafts."""
    verifier: VerifierLink
    trace: Tracer
    stream: str
    counts: DraftCounts = field(default_factory=DraftCounts)
    round: int = 0
    """The number of the exchange in which this round's drafts are sent."""
    _draft_s: float = 0.0
    _wait_s: float = 0.0
    _before: Traffic = field(default_factory=Traffic)

    def next_draft(self, text: list[int]) -> Probabilities:
        """Return the draft model's q after `text`, shape [V]."""
        return self._next(text)[0]

    def _next(self, text: list[int]) -> tuple[Probabilities, Logits]:
        """Return q after `text`, and the logits that it comes from, both of shape [V]."""
        self.counts.draft_passes += 1
        with self.draft.over(text) as logits:
            try:
                return distribution(logits[-1], self.sampling), logits[-1]
            except ValueError as error:
                raise TestbedError(f"draft model, after {len(text)} tokens: {error}") from None

    @property
    def room(self) -> int:
        """Tokens that can be drafted: the verifier adds one of its own to every round."""
        return self.limit - len(self.text) - 1

    def propose(
        self,
        quantise: Callable[[Probabilities], Lattice | None],
        formula_bits: float | Callable[[Lattice], float],
        draw: Callable[[Lattice, int], int] | None = None,
    ) -> list[Drawn]:
        """Draft tokens, each drawn from the q̂ that `quantise` makes of q.

        As many as the draft-length policy wants, but never more than can be used, and nothing
        follows an end token. Where `quantise` returns None the round ends without that draft.
        `formula_bits` are what one draft costs on the uplink: a number where q̂ does not matter, for
        then the policy can be asked before a pass is made for the draft. `draw` takes q̂ and a
        position; without it, a token is drawn for this round alone.
        """
        draw = draw or self._draw
        drafts: list[Drawn] = []
        greedy = self.sampling.temperature == 0
        with self.drafting_round():
            while len(drafts) < self.room and self.drafting.more(drafts):
                known = None if callable(formula_bits) else formula_bits
                if not self.drafting.admits(drafts, known):
                    break
                text = self.text + [draft.token for draft in drafts]
                raw_q, logits = self._next(text)
                q = quantise(raw_q)
                if q is None:
                    break
                bits = formula_bits(q) if callable(formula_bits) else formula_bits
                if known is None and not self.drafting.admits(drafts, bits):
                    break
                token = draw(q, len(text))
                drafts.append(Drawn(token, q, logits if greedy else None))
                self.counts.formula_bits += bits
                if token in self.end_tokens:
                    break
        return drafts

    def _draw(self, q: Lattice, position: int) -> int:
        return q.draw(self.random, "draft", position, self.counts.rounds)

    @contextmanager
    def drafting_round(self) -> Iterator[None]:
        """Open a span in which a round is drafted; its length is what the policy learns."""
        start, passes = clock.now(), self.counts.draft_passes
        self._before, self._wait_s = replace(self.verifier.traffic), 0.0
        self.round = self.counts.rounds
        with self.trace.span("draft", self.stream, round=self.round) as fields:
            yield
            fields["passes"] = self.counts.draft_passes - passes
        self._draft_s = clock.now() - start

    def encoding(self) -> AbstractContextManager[object]:
        """Open a span in which this round's upload is written."""
        return self.trace.span("encode", self.stream, round=self.counts.rounds)

    def decoding(self) -> AbstractContextManager[object]:
        """Open a span in which the answer to the last question is read."""
        return self.trace.span("decode", self.stream, round=self.counts.rounds - 1)

    def ask(self, upload: Payload, drafts: int = 0) -> bytes:
        """One round with a single answer: send, wait, return the download."""
        download, *more = self.stream_answers(upload, drafts)
        if more:
            raise PayloadError(f"an answer of one part arrived in {1 + len(more)}")
        return download

    def stream_answers(self, upload: Payload, drafts: int = 0) -> Iterator[bytes]:
        """One round whose answer comes in parts."""
        self.counts.rounds += 1
        start = clock.now()
        yield from self.verifier.ask(self.text, drafts, upload)
        self._wait_s += clock.now() - start

    def record(self, drafted: int, accepted: int) -> None:
        """Note the verification of one round's chain of drafts; the policy learns from it."""
        self.record_path(drafted, accepted, drafted, rejected=accepted < drafted)

    def record_path(self, drafted: int, accepted: int, length: int, *, rejected: bool) -> None:
        """Note a verification: of `drafted` tokens, on paths of up to `length`.

        `accepted` is the length of the accepted path; `rejected` is true where drafts stood behind
        it, of which none was accepted. Like them, all candidates for one position count once.
        """
        tested = accepted + rejected
        self.counts.drafted += drafted
        self.counts.tested += tested
        self.counts.accepted += accepted
        self.counts.rejections += rejected
        lengths = self.counts.draft_lengths
        lengths += [0] * (length + 1 - len(lengths))
        lengths[length] += 1
        _count_places(self.counts.tested_at, tested, length)
        _count_places(self.counts.accepted_at, accepted, length)
        before, after = self._before, self.verifier.traffic
        self.drafting.learn(
            RoundOutcome(
                drafted=length,
                accepted=accepted,
                verified=tested,
                draft_s=self._draft_s,
                wait_s=self._wait_s,
                verifier_s=after.verifier_s - before.verifier_s,
                uplink_bytes=after.up_bytes - before.up_bytes,
                downlink_bytes=after.down_bytes - before.down_bytes,
                uplink_payload_bits=after.up_payload_bits - before.up_payload_bits,
            )
        )


def _count_places(counts: list[int], places: int, length: int) -> None:
    """One more for each of the first `places` of so many."""
    counts += [0] * (length - len(counts))
    counts[:places] = [count + 1 for count in counts[:places]]
