"""Coupling by shared randomness: ids go up, nothing else (Daliri et al., arXiv 2408.07978).

Device and verifier know the same exponentials E_i, one for each token, at each position. The device
drafts x = argmin E_i / q_i, the verifier draws y = argmin E_i / p_i. Each is a fair draw from its
own distribution, and where these are alike, so are the winners. As long as x = y the draft stands;
at the first difference y is the token; when all γ agree, the race at the next position is the bonus
token.

Lossless, because each token is y, and y follows p whatever x is. The tokens depend neither on the
draft model nor on the draft length, which may therefore follow any policy. The price is the
acceptance rate: Σ_i 1 / Σ_k max(p_k / p_i, q_k / q_i), which is at least (1 - TV) / (1 + TV), where
the usual rule reaches 1 - TV.

The paper's communication-free protocol needs both parties to run the same races; both here derive
them from the seed. If their logarithms differ in the last bit, a draft may be lost, never the
distribution: the verifier alone decides what y is.

Per round: uplink γ b_id, downlink b_id + ⌈log2(γ + 1)⌉ bits.
"""

from __future__ import annotations

import msgspec
from typing_extensions import override

from testbed.codecs.bits import width
from testbed.codecs.fixed_point import FixedPoint
from testbed.codecs.tokens import decode_tokens, encode_tokens
from testbed.codecs.verification import read_verification, write_verification
from testbed.decoding.lattice import Lattice
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.verifier_context import VerifierContext


class GumbelOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of Gumbel coupling."""

    draft_length: DraftLengthOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""


class Gumbel(Method):
    """Ids up, one token down."""

    name = "gumbel"
    summary = "ids up; both ends race with the same exponentials, the verifier's winner counts"
    paper = "arXiv 2408.07978"
    Options = GumbelOptions

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        v = self.vocabulary_size
        # Policies look at q̂(x); nobody else ever learns q̂, so it is as fine as lattices go.
        quantise = FixedPoint("fixed32").quantise

        def draw(q: Lattice, position: int) -> int:
            return device.random.race(q.counts, position)  # whose support is everything

        while True:
            drafts = yield from device.propose(quantise, width(v), draw)
            tokens = [draft.token for draft in drafts]
            with device.encoding():
                upload = encode_tokens(tokens, v)
            download = yield from device.ask(upload, len(drafts))
            with device.decoding():
                accepted, token = read_verification(download, len(drafts), v)
            device.record(len(drafts), accepted)
            yield from device.commit([*tokens[:accepted], token])

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        with verifier.decoding():
            tokens = decode_tokens(upload, drafts, self.vocabulary_size)
        p = yield from verifier.read(tokens)
        for i in range(drafts + 1):
            token = verifier.random.race(p(i), len(verifier.token_ids))
            verifier.token_ids.append(token)
            if i == drafts or token != tokens[i]:
                break
        with verifier.encoding():
            answer = write_verification(i, token, drafts, self.vocabulary_size)
        yield from verifier.reply(answer)
