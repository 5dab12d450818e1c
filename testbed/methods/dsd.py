"""DSD: distributed speculative decoding with the whole draft distribution on the uplink.

Zhao et al., ICCC Workshops 2024, as described by DSSD (arXiv 2507.12000). Per round, with γ drafts,
b_id = ⌈log2 V⌉ bits per id and b_p bits per probability:
uplink γ (b_id + V b_p), downlink b_id + ⌈log2(γ + 1)⌉. The output distribution is the target's p;
with `target_precision` it is p̂, p so rounded, as DSSD's is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from typing_extensions import override

from testbed.codecs.base import Codec
from testbed.codecs.dense import Dense
from testbed.codecs.precisions import Precision, distribution_codec
from testbed.decoding.sampling import Probabilities
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.effects import Effects
from testbed.methods.full_upload import FullDistributionMethod
from testbed.methods.verifier_context import VerifierContext


class DsdOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of DSD.

    `target_precision` rounds p likewise before it is used, as DSSD must: at equal precisions and
    seeds the two methods emit the same tokens, and differ in communication alone. DSD by itself
    does not need it, and "exact" leaves p alone.
    """

    draft_length: DraftLengthOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""
    precision: Precision = "fixed16"
    """The precision of q̂ in the upload, e.g. fixed16."""
    target_precision: Precision | Literal["exact"] = "exact"
    """The precision to which p is rounded before it is used, e.g. fixed16; exact leaves it."""


class Dsd(FullDistributionMethod):
    """Full q̂ up, one token down."""

    name = "dsd"
    summary = "ids and the full draft distribution up; the verifier resamples"
    paper = "Zhao et al. 2024, via arXiv 2507.12000"
    Options = DsdOptions

    @override
    def make_codec(self) -> Codec:
        return Dense(distribution_codec(self.options.precision), self.vocabulary_size)

    @override
    def target(
        self, verifier: VerifierContext, tokens: list[int]
    ) -> Effects[Callable[[int], Probabilities]]:
        p = yield from verifier.read(tokens)
        if self.options.target_precision == "exact":
            return p
        p_hat = verifier.quantised(p, distribution_codec(self.options.target_precision).quantise)
        return lambda i: p_hat(i).probabilities
