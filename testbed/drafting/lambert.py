"""The draft length that is best by TK-SLT's closed form, from what is measured meanwhile.

Source: ODLD and AS2 of TK-SLT (arXiv 2509.04576). With α the probability that a draft is accepted
and L = b + c what one more draft costs, in units of what a round costs without any, γ drafts gain

    S(γ) = (1 - α^(γ+1)) / ((1-α) (1 + γL)),  b = T_V(1) / T_LLM,  c = T_SLM / T_LLM,

which is largest next to the γ0 that Lambert's W gives (testbed.decoding.theory). Where S(γ*) <= 1
the target decodes alone: the round drafts nothing and the verifier adds its token. The paper's link
has no round trip. Here one counts as part of T_LLM, for it, too, is spent once a round, drafts or
not.

A device that drafts nothing learns nothing of α and of what drafts cost, and a bad start would be
for ever. So when it has to decode alone, every sixth round drafts one token all the same, unless
nothing is measured.

What is measured of L depends on the clock, and so do the tokens, though never their distribution.
With `measure: acceptance` or `nothing` the tokens are a function of the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.decoding.theory import optimal_draft_length, runs_alone
from testbed.drafting.base import DraftLength, Length, PolicyOptions, RoundOutcome
from testbed.drafting.link_estimator import LinkEstimator

PROBE = 6
"""Of so many rounds in a row that had better draft nothing, the last one drafts a token."""


class Lambert(PolicyOptions, frozen=True, tag="lambert"):
    """The options of TK-SLT's closed form.

    A measured acceptance starts from `acceptance`, which counts for a few verifications. A measured
    cost replaces `cost` once a round with drafts has been timed.
    """

    summary = "the draft length that is best by TK-SLT's closed form, from what is measured"
    paper = "arXiv 2509.04576"

    acceptance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.7
    """The acceptance rate α, above 0 and below 1, e.g. 0.7."""
    cost: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 0.2
    """The cost L of a drafted token, as a share of that of a round without drafts, e.g. 0.2."""
    measure: Literal["both", "acceptance", "cost", "nothing"] = "both"
    """The values that measurements replace during a generation, e.g. both."""
    longest: Length = 16
    """The largest draft length, e.g. 16."""

    @override
    def start(self) -> DraftLength:
        return _Lambert(self)


class _Lambert(DraftLength):
    def __init__(self, options: Lambert) -> None:
        self._options = options
        self._measured = LinkEstimator(options.acceptance)
        self._alone = 0  # rounds in a row without a draft
        self._length = self._best()

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        return len(drafts) < self._length

    @override
    def learn(self, outcome: RoundOutcome) -> None:
        self._measured.learn(outcome)
        self._alone = 0 if outcome.drafted else self._alone + 1
        self._length = self._best()
        if self._alone >= PROBE - 1 and self._options.measure != "nothing":
            self._length = max(self._length, 1)

    def _best(self) -> int:
        # At α = 1 or L = 0 no draft is long enough; close to them γ* is far above any `longest`.
        alpha = min(self._acceptance(), 1 - 1e-9)
        cost = max(self._cost(), 1e-9)
        if runs_alone(alpha, cost):
            return 0
        return min(optimal_draft_length(alpha, cost), self._options.longest)

    def _acceptance(self) -> float:
        if self._options.measure in ("both", "acceptance"):
            return self._measured.acceptance
        return self._options.acceptance

    def _cost(self) -> float:
        """L = (T_V(1) + T_SLM) / (T_LLM + fixed part of the network)."""
        m = self._measured
        if self._options.measure not in ("both", "cost") or (
            m.draft_s is None
            or m.draft_bytes is None
            or m.verifier_s is None
            or m.fixed_s is None
            or m.uplink is None
        ):
            return self._options.cost
        without = m.verifier_s + m.fixed_s
        return (m.draft_bytes / m.uplink + m.draft_s) / without if without else float("inf")
