"""DSSD in the other direction: on a rejection the one q̂ that matters goes up, not p down.

A variant of split verification (DSSD, arXiv 2507.12000) without its large downlink. Drafts are
drawn from K-SQS's q̂ (arXiv 2510.09942): the K likeliest tokens on a lattice with denominator ℓ.

1. Up go the ids and, for each, the count it was drawn with. The verifier accepts by p itself.
2. When all are accepted, the bonus token comes down, as in DSSD. Otherwise nothing but how many
   were; the device then sends q̂ of the rejected draft, the verifier resamples from
   norm(max(0, p - q̂)), and the token comes down. That is a second round trip, for less than a
   kilobit (V = 49152, K = 64, ℓ = 100) instead of a vocabulary of probabilities.

Lossless in p: nothing but q̂ is ever rounded, and the token is drawn, accepted and replaced by the
same q̂. Both messages are rounds. The second has no drafts, and a payload: a first one without
drafts has none, while any q̂ takes a bit at least (but for a vocabulary of one token, which nobody
rejects). It can be answered from the committed tokens and the payload alone, so a verifier that has
lost the session in between, and with it p, reads them again.

Uplink γ (b_id + ⌈log2 ℓ⌉), and log2 C(V, K) + log2 C(ℓ+K-1, K-1) after a rejection; downlink
⌈log2(γ + 1)⌉ + b_id in all.
"""

from __future__ import annotations

import msgspec
from typing_extensions import override

from testbed.bounds import TopK
from testbed.codecs.bits import BitReader, BitWriter, width
from testbed.codecs.enumerative import Ranks
from testbed.codecs.scalars import CountCodec, read_scalars, scalar_bits, write_scalars
from testbed.codecs.tokens import decode_tokens, encode_tokens, read_tokens, write_tokens
from testbed.codecs.verification import read_accepted_count
from testbed.decoding.acceptance import accepted_prefix, residual
from testbed.decoding.bit_counts import k_sqs_bits
from testbed.decoding.lattice import Denominator, Lattice
from testbed.decoding.sampling import Probabilities
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.ksqs import likeliest
from testbed.methods.verifier_context import VerifierContext


class DssdLazyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of lazy DSSD; q̂ has the form of K-SQS."""

    draft_length: DraftLengthOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""
    top_k: TopK | None = None
    """The number K of most probable tokens in q̂, e.g. 64; by default 64 or all."""
    lattice: Denominator = 100
    """The denominator ℓ of the lattice, e.g. 100."""


class DssdLazy(Method):
    """Scalars up; on a rejection one q̂ follows them."""

    name = "dssd_lazy"
    summary = "ids and scalars up; on a rejection that draft's distribution follows"
    paper = "arXiv 2507.12000 and 2510.09942, joined here"
    Options = DssdLazyOptions

    def __init__(self, options: DssdLazyOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self._scalars = CountCodec(options.lattice)
        self._codec = likeliest(options.top_k, options.lattice, vocabulary_size)
        self._rejecting: tuple[int, Probabilities] | None = None

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        v = self.vocabulary_size
        bits = scalar_bits(self._scalars, v)
        while True:
            drafts = yield from device.propose(self._codec.quantise, bits)
            with device.encoding():
                upload = write_scalars(drafts, self._scalars, v)
            verification = BitReader((yield from device.ask(upload, len(drafts))))
            with device.decoding():
                accepted = read_accepted_count(verification, len(drafts))
                tokens = [draft.token for draft in drafts[:accepted]]
                if accepted == len(drafts):
                    tokens += read_tokens(verification, 1, v)
                verification.finish()
            if accepted == len(drafts):
                device.record(len(drafts), accepted)
            yield from device.commit(tokens)  # the second question is about what follows them
            if accepted < len(drafts):
                q = drafts[accepted].q
                with device.encoding():
                    upload = self._written(q).payload()
                device.counts.formula_bits += k_sqs_bits(v, q.support.size, q.total)
                answer = yield from device.ask(upload)
                with device.decoding():
                    tokens = decode_tokens(answer, 1, v)
                device.record(len(drafts), accepted)
                yield from device.commit(tokens)

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        if upload and not drafts:
            with verifier.decoding():
                q = self._read(upload)
            yield from self._resample(verifier, q)
        else:
            with verifier.decoding():
                read = read_scalars(upload, drafts, self._scalars, self.vocabulary_size)
            yield from self._verify(verifier, *read)

    def _verify(
        self, verifier: VerifierContext, tokens: list[int], q_drawn: list[float]
    ) -> Effects[None]:
        """Accept or reject; a bonus token goes down, or the news of a rejection."""
        p = yield from verifier.read(tokens)
        accepted = accepted_prefix(
            q_drawn, lambda i: float(p(i)[tokens[i]]), verifier.random, len(verifier.token_ids)
        )
        verifier.token_ids += tokens[:accepted]
        bonus = []
        if accepted < len(tokens):
            self._rejecting = len(verifier.token_ids), p(accepted)
        else:
            bonus = [self._emit(verifier, p(accepted))]
        with verifier.encoding():
            verification = BitWriter()
            verification.write(accepted, width(len(tokens) + 1))
            write_tokens(verification, bonus, self.vocabulary_size)
        yield from verifier.reply(verification.payload())

    def _resample(self, verifier: VerifierContext, q: Lattice) -> Effects[None]:
        """Replace the rejected draft, which was drawn from q̂."""
        # The p that rejected, rather than a second reading of it: other sums, other last digits.
        if self._rejecting and self._rejecting[0] == len(verifier.token_ids):
            p = self._rejecting[1]
        else:
            p = (yield from verifier.read([]))(0)
        token = self._emit(verifier, residual(p, q.probabilities))
        with verifier.encoding():
            answer = encode_tokens([token], self.vocabulary_size)
        yield from verifier.reply(answer)

    def _emit(self, verifier: VerifierContext, p: Probabilities) -> int:
        token = verifier.random.choose(p, "target", len(verifier.token_ids))
        verifier.token_ids.append(token)
        return token

    def _written(self, q: Lattice) -> Ranks:
        ranks = Ranks()
        self._codec.push_lattice(ranks, q)
        return ranks

    def _read(self, upload: bytes) -> Lattice:
        ranks = self._codec.received(upload, 1)
        q = self._codec.pop_lattice(ranks)
        ranks.finish()
        return q
