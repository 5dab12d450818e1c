"""Drafting ends behind a token that the draft model is unsure of.

Sources: transformers' `assistant_confidence_threshold` (0.4, on the last token alone); with
`product`, on the whole draft: Π q̂(x) as in EdgeLLM and PipeSD (arXiv 2605.13319: R1).

The unsure token is sent, too. Whether it is drawn was decided before; were it dropped for what it
turned out to be, the tokens that are sent would no longer follow q̂ but q̂ given confidence, and
verifying them against q̂ would favour what the draft model is sure of.

The probabilities are those of q̂, after temperature and filters. Of a greedy draft, whose q̂ is
always sure, they are the draft model's own at temperature 1, as in transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated

import msgspec
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength, Length, PolicyOptions


class Confidence(PolicyOptions, frozen=True, tag="confidence"):
    """The options of drafting that ends when the confidence is too low."""

    summary = "drafting ends behind a token, or a draft, that the draft model is unsure of"
    paper = "transformers; arXiv 2605.13319"

    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.4
    """The confidence below which drafting ends, above 0 and up to 1, e.g. 0.4."""
    longest: Length = 16
    """The largest draft length, e.g. 16."""
    product: bool = False
    """True takes the product of all probabilities of the draft as confidence, not the last one."""

    @override
    def start(self) -> DraftLength:
        return _Confidence(self)


class _Confidence(DraftLength):
    def __init__(self, options: Confidence) -> None:
        self._options = options

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        judged = drafts if self._options.product else drafts[-1:]
        sure = prod(draft.confidence for draft in judged) >= self._options.threshold
        return sure and len(drafts) < self._options.longest
