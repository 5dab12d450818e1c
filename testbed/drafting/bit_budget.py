"""As many drafts as fit into a budget of bits per round: L = max{L : Σ b_n <= B}.

Source: SQS-SD (arXiv 2510.09942). The bits are those of the method's own formula, known before the
token is drawn. One draft is made even when it alone exceeds the budget, and never more than
`longest`.

Where every draft takes the same bits (K-SQS, DSD, DSSD, …), L is known beforehand. Where they
depend on q (C-SQS, …), they are known only once the draft model has made its pass, which is thrown
away if they do not fit. Taken literally, the definition thus costs a pass more in nearly every
round. What differs from it here: no such pass is made where neither of the last two would have
fitted. The budget is kept all the same, but a draft that would have fitted may be missed. The
paper's own L comes with `predict: false`.

The last passes are independent of the token that is not drawn yet: the output distribution stays
exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Annotated

import msgspec
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength, Length, PolicyOptions

REMEMBERED = 2
"""Passes whose bits predict those of the next."""


class BitBudget(PolicyOptions, frozen=True, tag="bit_budget"):
    """The options of the bit budget."""

    summary = "as many drafts as fit into a budget of uplink bits per round"
    paper = "arXiv 2510.09942"

    bits: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] = 5000
    """The budget B of a round, in bits of the upload, e.g. 5000."""
    longest: Length = 16
    """The largest draft length, e.g. 16."""
    predict: bool = True
    """True allows a pass whose bits are not known only if they are likely to fit."""

    @override
    def start(self) -> DraftLength:
        return _BitBudget(self)


class _BitBudget(DraftLength):
    def __init__(self, options: BitBudget) -> None:
        self._options = options
        self._spent = 0.0
        self._last: deque[float] = deque(maxlen=REMEMBERED if options.predict else 0)

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        if not drafts:
            self._spent = 0.0
        return len(drafts) < self._options.longest

    @override
    def admits(self, drafts: Sequence[Drawn], bits: float | None) -> bool:
        if bits is None:
            likely = min(self._last, default=0.0)
            return not drafts or self._spent + likely <= self._options.bits
        self._last.append(bits)
        self._spent += bits
        return not drafts or self._spent <= self._options.bits
