"""DSD: distributed speculative decoding with the whole draft distribution on the uplink.

Zhao et al., ICCC Workshops 2024, as described by DSSD (arXiv 2507.12000). Per round, with γ drafts,
b_id = ⌈log2 V⌉ bits per id and b_p bits per probability:
uplink γ (b_id + V b_p), downlink b_id + ⌈log2(γ + 1)⌉.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from testbed.codecs.bits import BitReader, BitWriter, PayloadError, width
from testbed.codecs.fixed_point import FixedPoint, Precision
from testbed.codecs.tokens import read_tokens, write_tokens
from testbed.decoding.acceptance import accepted_prefix, residual
from testbed.methods.base import Method
from testbed.methods.sides import Answer, DeviceSide, VerifierSide


class DsdOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`draft_length` is γ; `precision` is that of q̂ on the wire.

    `target_precision` puts p on the same kind of lattice before it is used, as DSSD must: at
    equal precisions and seeds the two methods emit the same tokens, and differ in communication
    alone. DSD by itself does not need it, and "exact" leaves p alone.
    """

    draft_length: Annotated[int, msgspec.Meta(ge=1)] = 4
    precision: Precision = "fixed16"
    target_precision: Precision | Literal["exact"] = "exact"


class Dsd(Method):
    """Full q̂ up, one token down."""

    name = "dsd"
    summary = "ids and the full draft distribution up; the verifier resamples"
    paper = "Zhao et al. 2024, via arXiv 2507.12000"
    Options = DsdOptions

    def __init__(self, options: DsdOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self._codec = FixedPoint(options.precision)

    def device(self, device: DeviceSide) -> Iterator[list[int]]:
        """Draft γ tokens, send them with all their q̂, take the verdict."""
        v = self.vocabulary_size
        while True:
            block = device.propose(self.options.draft_length, self._codec.quantise)
            with device.trace.span("encode", device.stream):
                upload = BitWriter()
                for q in block.q:
                    self._codec.write(upload, q)
                write_tokens(upload, block.tokens, v)
            verdict = BitReader(device.ask(upload.payload(), len(block.tokens)))
            accepted = verdict.read(width(len(block.tokens) + 1))
            (token,) = read_tokens(verdict, 1, v)
            verdict.finish()
            device.record(len(block.tokens), accepted)
            yield [*block.tokens[:accepted], token]

    def verifier(self, verifier: VerifierSide, drafts: int, upload: bytes) -> Iterator[Answer]:
        """Verify the block; draw the residual or the bonus token."""
        v = self.vocabulary_size
        reader = BitReader(upload)
        q = [self._codec.read(reader, v) for _ in range(drafts)]
        tokens = read_tokens(reader, drafts, v)
        reader.finish()
        if not all(each.counts[token] for each, token in zip(q, tokens, strict=True)):
            raise PayloadError("a drafted token arrived with probability 0")

        p = verifier.target_after(tokens)
        if self.options.target_precision != "exact":
            p_hat = verifier.quantised(p, FixedPoint(self.options.target_precision).quantise)
            p = lambda i: p_hat(i).probabilities  # noqa: E731

        position = len(verifier.text)
        q_drawn = [each.probability(token) for each, token in zip(q, tokens, strict=True)]
        accepted = accepted_prefix(tokens, q_drawn, p, verifier.random, position)
        law = p(accepted)
        if accepted < drafts:
            law = residual(law, q[accepted].probabilities)
        token = verifier.random.choose(law, "target", position + accepted)
        verifier.text += [*tokens[:accepted], token]

        verdict = BitWriter()
        verdict.write(accepted, width(drafts + 1))
        write_tokens(verdict, [token], v)
        yield Answer(verdict.payload())
