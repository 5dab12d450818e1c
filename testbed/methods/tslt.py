"""TSLT: truncated sparse logits (arXiv 2512.16273; with top-K, TK-SLT, arXiv 2509.04576).

The device truncates q to its likeliest tokens before it draws from it, and sends those with their
values; the verifier takes all others to have q̂ = 0. They stay reachable through the residual, so
the target's distribution is kept, and acceptance falls by no more than TV(q, q̂): the mass that was
dropped and what rounding the values adds to it.

Per round, with γ drafts: uplink γ (b_id + K (b_p + b_id)), which TK-SLT accounts for as γ K b_p;
downlink b_id + ⌈log2(γ + 1)⌉. What is really written is said in testbed.codecs.truncated.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from typing_extensions import override

from testbed.bounds import TopK
from testbed.codecs.base import Codec
from testbed.codecs.truncated import Truncated, ValueFormat
from testbed.codecs.wire_forms import WireForm
from testbed.drafting.policies import DraftLengthOption
from testbed.errors import TestbedError
from testbed.methods.full_upload import FullDistributionMethod

K = 320
"""The best K in TK-SLT's figure 4, 1 % of its vocabulary."""


class TruncationOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The part of q that is kept, and the form in which it is sent.

    Without `top_k` and `top_p`, top_k is 320, or the size of a smaller vocabulary.
    """

    top_k: TopK | None = None
    """The number of most probable tokens that are kept, e.g. 320."""
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """The total probability of the most probable tokens that are kept, e.g. 0.99."""
    values: ValueFormat = "fp16"
    """The format to which probabilities are rounded, e.g. fp16."""
    index: WireForm = "plain"
    """The form of the message: plain as the papers count bits, ranked is shorter and slower."""

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_p is not None:
            raise ValueError("top_k and top_p are both given; give one of them")

    def codec(self, vocabulary_size: int) -> Truncated:
        """Return the codec of these options. Raises TestbedError when top_k exceeds V."""
        k = self.top_k
        if k is None and self.top_p is None:
            k = min(K, vocabulary_size)
        try:
            return Truncated(
                vocabulary_size, top_k=k, top_p=self.top_p, values=self.values, index=self.index
            )
        except ValueError as error:
            raise TestbedError(str(error)) from None


class TsltOptions(TruncationOptions, frozen=True, kw_only=True):
    """The options of TSLT."""

    draft_length: DraftLengthOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""


class Tslt(FullDistributionMethod):
    """The likeliest part of q̂ up, one token down."""

    name = "tslt"
    summary = "the likeliest tokens of q with rounded values up; the verifier resamples"
    paper = "arXiv 2512.16273"
    Options = TsltOptions

    @override
    def make_codec(self) -> Codec:
        options: TsltOptions = self.options
        return options.codec(self.vocabulary_size)
