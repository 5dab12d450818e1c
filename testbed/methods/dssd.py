"""DSSD: split verification (arXiv 2507.12000).

The device sends, per draft, its id and the one probability it was drawn with. The verifier accepts
or rejects; on a rejection the target's distribution comes down and the *device* draws the residual,
since only it has q̂. The resampled id travels up with the next round.

Per round: uplink γ (b_id + b_p) (+ b_id after a rejection), downlink ⌈log2(γ + 1)⌉ plus V b_p on a
rejection or b_id otherwise. The paper's latency table leaves the downlink out; here it is sent.
Acceptance and residual both use p̂, the p that the wire carries: the output distribution is
exactly p̂, and TV(p, p̂) is reported.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from typing_extensions import override

from testbed.codecs.base import DistributionCodec
from testbed.codecs.bits import BitReader, BitWriter, width
from testbed.codecs.fixed_point import FixedPoint, FixedPrecision
from testbed.codecs.precisions import Precision, distribution_codec
from testbed.codecs.scalars import read_scalars, scalar_bits, write_scalars
from testbed.codecs.tokens import read_tokens, write_tokens
from testbed.codecs.verification import read_accepted_count
from testbed.decoding.acceptance import accepted_prefix, residual
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.verifier_context import VerifierContext


class DssdOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of DSSD.

    A scalar must equal the probability its token was drawn with, which requires a fixed
    denominator; p̂ is sent whole, so it may also be floating point.
    """

    draft_length: DraftLengthOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""
    precision: FixedPrecision = "fixed16"
    """The precision of the scalars in the upload, e.g. fixed16."""
    target_precision: Precision = "fixed16"
    """The precision of p̂ in the answer to a rejection, e.g. fixed16."""


class Dssd(Method):
    """Scalars up; p̂ down on a rejection."""

    name = "dssd"
    summary = "ids and scalars up; on a rejection p comes down and the device resamples"
    paper = "arXiv 2507.12000"
    Options: ClassVar[type[msgspec.Struct]] = DssdOptions

    def __init__(self, options: DssdOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self._draft_codec = FixedPoint(options.precision)
        self._target_codec = self.target_codec()

    def target_codec(self) -> DistributionCodec:
        """Return the codec of p̂ in the answer."""
        return distribution_codec(self.options.target_precision)

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        v = self.vocabulary_size
        bits = scalar_bits(self._draft_codec, v)
        while True:
            drafts = yield from device.propose(self._draft_codec.quantise, bits)
            with device.encoding():
                upload = write_scalars(drafts, self._draft_codec, v)
            verification = BitReader((yield from device.ask(upload, len(drafts))))
            accepted = read_accepted_count(verification, len(drafts))
            device.record(len(drafts), accepted)
            if accepted < len(drafts):
                with device.decoding():
                    p_hat = self._target_codec.read(verification, v)
                with device.trace.span("resample", device.stream):
                    p = residual(p_hat.probabilities, drafts[accepted].q.probabilities)
                    token = device.random.choose(p, "target", len(device.token_ids) + accepted)
            else:
                with device.decoding():
                    (token,) = read_tokens(verification, 1, v)
            verification.finish()
            yield from device.commit([*(draft.token for draft in drafts[:accepted]), token])

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        v = self.vocabulary_size
        with verifier.decoding():
            tokens, q_drawn = read_scalars(upload, drafts, self._draft_codec, v)
        p = yield from verifier.read(tokens)
        p_hat = verifier.quantised(p, self._target_codec.quantise)
        position = len(verifier.token_ids)
        accepted = accepted_prefix(
            q_drawn, lambda i: p_hat(i).probability(tokens[i]), verifier.random, position
        )
        verifier.token_ids += tokens[:accepted]

        bonus = []
        if accepted == drafts:
            bonus = [p_hat(accepted).draw(verifier.random, "target", position + accepted)]
            verifier.token_ids += bonus
        with verifier.encoding():
            verification = BitWriter()
            verification.write(accepted, width(drafts + 1))
            if bonus:
                write_tokens(verification, bonus, v)
            else:
                self._target_codec.write(verification, p_hat(accepted))
        yield from verifier.reply(verification.payload())
