"""What a method works with on the device and at the verifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from testbed.codecs.bits import Payload
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.models.reader import Reader
from testbed.traces.events import Tracer


class Asks(Protocol):
    """The device's line to the verifier."""

    def ask(self, text: list[int], drafts: int, upload: Payload) -> Iterator[bytes]:
        """One round: send `upload` with `drafts` drafted tokens, yield each part of the answer.

        `text` is everything certain on the device; what the verifier lacks of it travels along.
        """


@dataclass(frozen=True)
class Block:
    """γ drafted tokens and, for each, the q̂ it was drawn from."""

    tokens: list[int] = field(default_factory=list)
    q: list[Lattice] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """One part of a verifier's answer to a round."""

    payload: Payload
    last: bool = True


@dataclass
class Counts:
    """What a device counts while it decodes one text."""

    rounds: int = 0
    drafted: int = 0
    """Tokens drafted for the verifier."""
    accepted: int = 0
    rejected_rounds: int = 0
    """Rounds in which a draft was rejected; each one tested exactly one more draft than it
    accepted."""


@dataclass
class DeviceSide:
    """The device's half of one text."""

    text: list[int]
    """Prompt and every token that is certain."""
    limit: int
    """Length of the text at which it is finished."""
    end_tokens: frozenset[int]
    """Ids that finish the text earlier."""
    draft: Reader
    sampling: Sampling
    random: Randomness
    verifier: Asks
    trace: Tracer
    stream: str
    counts: Counts = field(default_factory=Counts)

    def next_draft(self, text: list[int]) -> Probabilities:
        """The draft model's q after `text`, shape [V]."""
        return distribution(self.draft.logits(text)[-1], self.sampling)

    def propose(self, length: int, quantise: Callable[[Probabilities], Lattice]) -> Block:
        """Draft up to `length` tokens, each drawn from the q̂ that `quantise` makes of q.

        Never more than can be used: the verifier adds one token of its own to every round, and
        nothing follows an end token.
        """
        block = Block()
        with self.trace.span("draft", self.stream, round=self.counts.rounds):
            for _ in range(min(length, self.limit - len(self.text) - 1)):
                text = self.text + block.tokens
                q = quantise(self.next_draft(text))
                block.tokens.append(self.random.choose(q.counts, "draft", len(text)))
                block.q.append(q)
                if block.tokens[-1] in self.end_tokens:
                    break
        return block

    def ask(self, upload: Payload, drafts: int = 0) -> bytes:
        """One round with a single answer: send, wait, return the download."""
        (download,) = self.stream_answers(upload, drafts)
        return download

    def stream_answers(self, upload: Payload, drafts: int = 0) -> Iterator[bytes]:
        """One round whose answer comes in parts."""
        self.counts.rounds += 1
        yield from self.verifier.ask(self.text, drafts, upload)

    def record(self, drafted: int, accepted: int) -> None:
        """Note the verdict on one round's drafts."""
        self.counts.drafted += drafted
        self.counts.accepted += accepted
        self.counts.rejected_rounds += accepted < drafted


@dataclass
class VerifierSide:
    """The verifier's half of one text."""

    text: list[int]
    """Every token the verifier knows to be certain."""
    limit: int
    """Length of the text at which it is finished."""
    end_tokens: frozenset[int]
    """Ids that finish the text earlier."""
    target: Reader
    sampling: Sampling
    random: Randomness
    trace: Tracer
    stream: str

    def target_after(self, drafts: list[int]) -> Callable[[int], Probabilities]:
        """The target's p at each drafted position and after the last, from one forward pass.

        The result maps i in 0..γ to p given the text and the first i drafts, shape [V].
        """
        rows = self.target.logits(self.text + drafts, keep=len(drafts) + 1)

        @cache
        def p(i: int) -> Probabilities:
            return distribution(rows[i], self.sampling)

        return p

    def quantised(
        self,
        p: Callable[[int], Probabilities],
        quantise: Callable[[Probabilities], Lattice],
    ) -> Callable[[int], Lattice]:
        """p̂ in place of p, at each position where it is asked for; records TV(p, p̂)."""

        @cache
        def p_hat(i: int) -> Lattice:
            quantised = quantise(p(i))
            distance = 0.5 * float(abs(quantised.probabilities - p(i)).sum())
            self.trace.event("quantise_target", self.stream, tv=distance)
            return quantised

        return p_hat
