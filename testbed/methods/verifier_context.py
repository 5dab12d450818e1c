"""The surroundings of a method at the verifier."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

from testbed.codecs.bits import Payload
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import Randomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.decoding.theory import total_variation
from testbed.events import Tracer
from testbed.methods.effects import Answer, Effects, Pass
from testbed.models.base import Logits
from testbed.models.compute.paced_reader import Passes


@dataclass
class VerifierContext:
    """The verifier's half of one generation."""

    token_ids: list[int]
    """Every token the verifier knows to be committed."""
    limit: int
    """Length of `token_ids` at which the generation ends."""
    end_tokens: frozenset[int]
    """Ids that end it earlier."""
    target: Passes
    sampling: Sampling
    random: Randomness
    trace: Tracer
    stream: str
    round: int = 0
    """The device's number of the round that is being answered."""

    def encoding(self) -> AbstractContextManager[object]:
        """Open a span in which the answer is written."""
        return self.trace.span("encode", self.stream, round=self.round)

    def decoding(self) -> AbstractContextManager[object]:
        """Open a span in which the upload is read."""
        return self.trace.span("decode", self.stream, round=self.round)

    def read(self, drafts: list[int]) -> Effects[Callable[[int], Probabilities]]:
        """Return the target's p at each drafted position and after the last, from one forward pass.

        The result maps i in 0..γ to p given the text and the first i drafts, shape [V].
        """

        def sampled(rows: Logits) -> Callable[[int], Probabilities]:
            @cache
            def p(i: int) -> Probabilities:
                return distribution(rows[i], self.sampling)

            if self.target.paced:  # then sampling is a part of the pass
                for i in range(len(drafts) + 1):
                    p(i)
            return p

        p: Callable[[int], Probabilities] = yield Pass(
            self.target, self.token_ids + drafts, len(drafts) + 1, sampled
        )
        return p

    def reply(self, payload: Payload, *, last: bool = True) -> Effects[None]:
        """Send one part of the answer."""
        yield Answer(payload, last)

    def quantised(
        self,
        p: Callable[[int], Probabilities],
        quantise: Callable[[Probabilities], Lattice],
    ) -> Callable[[int], Lattice]:
        """Return p̂ for p, computed at a position when first needed; record TV(p, p̂) as an event."""

        @cache
        def p_hat(i: int) -> Lattice:
            quantised = quantise(p(i))
            distance = total_variation(quantised.probabilities, p(i))
            self.trace.event("quantise_target", self.stream, tv=distance)
            return quantised

        return p_hat
