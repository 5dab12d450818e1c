"""Autoregressive decoding by the target alone: the baseline every split must beat.

The prompt goes up once; each token comes down as soon as it is decoded, so the round-trip time is
paid once and not per token.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.codecs.bits import NOTHING
from testbed.codecs.tokens import decode_tokens, encode_tokens
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.verifier_context import Answer, VerifierContext


class CloudAR(Method):
    """The target decodes and streams."""

    name = "cloud_ar"
    summary = "target decodes alone; prompt up once, tokens stream down"
    paper = "baseline"
    uses_draft = False

    @override
    def device(self, device: DeviceContext) -> Iterator[list[int]]:
        for download in device.stream_answers(NOTHING):
            yield decode_tokens(download, 1, self.vocabulary_size)

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Iterator[Answer]:
        last = False
        while not last:
            p = verifier.target_after([])(0)
            token = verifier.random.choose(p, "target", len(verifier.token_ids))
            verifier.token_ids.append(token)
            last = len(verifier.token_ids) >= verifier.limit or token in verifier.end_tokens
            yield Answer(encode_tokens([token], self.vocabulary_size), last)
