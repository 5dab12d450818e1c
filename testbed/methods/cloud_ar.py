"""Autoregressive decoding by the target alone: the baseline every split must beat.

The prompt goes up once; each token comes down as soon as it is decoded, so the round-trip time is
paid once and not per token.
"""

from __future__ import annotations

from typing_extensions import override

from testbed.codecs.bits import NOTHING
from testbed.codecs.tokens import decode_tokens, encode_tokens
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.verifier_context import VerifierContext


class CloudAR(Method):
    """The target decodes and streams."""

    name = "cloud_ar"
    summary = "target decodes alone; prompt up once, tokens stream down"
    paper = "baseline"
    uses_draft = False

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        yield from device.send(NOTHING)
        last = False
        while not last:
            download, last, _ = yield from device.next_part()
            yield from device.commit(decode_tokens(download, 1, self.vocabulary_size))

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        last = False
        while not last:
            p = yield from verifier.read([])
            token = verifier.random.choose(p(0), "target", len(verifier.token_ids))
            verifier.token_ids.append(token)
            last = len(verifier.token_ids) >= verifier.limit or token in verifier.end_tokens
            yield from verifier.reply(encode_tokens([token], self.vocabulary_size), last=last)
