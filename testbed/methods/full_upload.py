"""Methods that send the whole of q̂ up, in common: DSD, QS, SQS and TSLT differ in the codec.

Per round the device drafts, sends each draft with its q̂, and gets back how many were accepted and
one token more. The verifier has p and q̂, so it accepts and resamples by itself:
downlink b_id + ⌈log2(γ + 1)⌉ bits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.verification import read_verification, write_verification
from testbed.decoding.acceptance import accepted_prefix, residual
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.verifier_context import VerifierContext


class FullDistributionMethod(Method):
    """Full q̂ up, one token down. A subclass provides the codec; it may also keep a state."""

    def __init__(self, options: Any, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.codec = self.make_codec()

    @abstractmethod
    def make_codec(self) -> Codec:
        """Return the codec of both ends. Raises TestbedError when the options do not allow one."""

    def quantise(self, q: Probabilities) -> Lattice | None:
        """Return the q̂ to draw the next draft from, or None to end the round without it."""
        return self.codec.quantise(q)

    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        """Commit the first `accepted` of these drafts; the others are discarded."""

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        constant = self.codec.constant_bits
        bits = self.codec.formula_bits if constant is None else constant
        while True:
            drafts = yield from device.propose(self.quantise, bits)
            with device.encoding():
                upload = self.codec.encode(drafts)
            verification = yield from device.ask(upload, len(drafts))
            with device.decoding():
                accepted, token = read_verification(verification, len(drafts), self.vocabulary_size)
            self.settle(drafts, accepted)
            device.record(len(drafts), accepted)
            yield from device.commit([*(draft.token for draft in drafts[:accepted]), token])

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        with verifier.decoding():
            drawn = self.codec.decode(upload, drafts)
        p = yield from self.target(verifier, [draft.token for draft in drawn])
        tokens = verified(verifier, drawn, p)
        verifier.token_ids += tokens
        with verifier.encoding():
            answer = write_verification(len(tokens) - 1, tokens[-1], drafts, self.vocabulary_size)
        yield from verifier.reply(answer)

    def target(
        self, verifier: VerifierContext, tokens: list[int]
    ) -> Effects[Callable[[int], Probabilities]]:
        """Return p after each draft, as the verifier uses it."""
        return verifier.read(tokens)


def verified(
    verifier: VerifierContext, drafts: Sequence[Drawn], p: Callable[[int], Probabilities]
) -> list[int]:
    """Verify the drafts; return those that are accepted, and the token that follows them."""
    position = len(verifier.token_ids)
    tokens = [draft.token for draft in drafts]
    q_drawn = [draft.probability for draft in drafts]
    accepted = accepted_prefix(q_drawn, lambda i: float(p(i)[tokens[i]]), verifier.random, position)
    following = p(accepted)
    if accepted < len(drafts):
        following = residual(following, drafts[accepted].q.probabilities)
    return [*tokens[:accepted], verifier.random.choose(following, "target", position + accepted)]
