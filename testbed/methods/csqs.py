"""C-SQS: the tokens above an online conformal threshold, on a lattice (SQS-SD, arXiv 2510.09942).

The threshold holds the dropped mass to α on average; see testbed.decoding.conformal. As K_n varies,
it is sent: per round, uplink Σ_n (log2 C(V, K_n) + log2 C(ℓ+K_n-1, K_n-1) + ⌈log2 K_n⌉ +
⌈log2 V⌉), downlink b_id + ⌈log2(γ + 1)⌉. Drafts as in K-SQS, but what one
takes is known only behind the draft model's pass; testbed.drafting.bit_budget says how the budget
foresees it. By notes on it the paper compares β_1 = 0.1 and 0.2; its α, η, ℓ and budget were not at
hand. The defaults are guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.sqs import Sqs
from testbed.decoding.conformal import OnlineThreshold
from testbed.decoding.lattice import Denominator
from testbed.drafting.bit_budget import BitBudget
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.full_upload import FullDistributionMethod


class CsqsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of C-SQS."""

    draft_length: DraftLengthOption = BitBudget(bits=5000)
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 5e-4
    """The mean probability α of the tokens that are dropped, e.g. 5e-4."""
    eta: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-3
    """The step η of the threshold, e.g. 1e-3."""
    first_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1e-3
    """The first threshold β_1, a probability, e.g. 1e-3."""
    lattice: Denominator = 100
    """The denominator ℓ of the lattice, e.g. 100."""


class Csqs(FullDistributionMethod):
    """The lattice point of all tokens above the threshold up, one token down."""

    name = "csqs"
    summary = "tokens above an online threshold, on a lattice, up; the verifier resamples"
    paper = "arXiv 2510.09942"
    Options = CsqsOptions

    @override
    def make_codec(self) -> Codec:
        options: CsqsOptions = self.options
        # Only the device's threshold moves; the verifier reads K_n.
        self._threshold = OnlineThreshold(options.alpha, options.eta, options.first_threshold)
        return Sqs(options.lattice, self.vocabulary_size, self._threshold.support)

    @override
    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        self._threshold.settle(accepted)
