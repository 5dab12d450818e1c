"""As many drafts as fit into a budget of bits per round: L = max{L : Σ b_n <= B}.

Source: SQS-SD (arXiv 2510.09942). The bits are those of the method's own formula, known before the
token is drawn. One draft is made even when it alone exceeds the budget, and never more than
`longest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength, Length, PolicyOptions


class BitBudget(PolicyOptions, frozen=True, tag="bit_budget"):
    """`bits` is B."""

    bits: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] = 5000
    longest: Length = 16

    def start(self) -> DraftLength:
        """See PolicyOptions."""
        return _BitBudget(self)


class _BitBudget(DraftLength):
    def __init__(self, options: BitBudget) -> None:
        self._options = options
        self._spent = 0.0

    def more(self, drafts: Sequence[Drawn]) -> bool:
        if not drafts:
            self._spent = 0.0
        return len(drafts) < self._options.longest

    def admits(self, drafts: Sequence[Drawn], bits: float) -> bool:
        self._spent += bits
        return not drafts or self._spent <= self._options.bits
