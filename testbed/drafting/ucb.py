"""A bandit over draft lengths: which γ has brought the most tokens per second?

Sources: UCB1 (Auer, Cesa-Bianchi, Fischer 2002), discounted so that it follows a link that changes
(D-UCB: Garivier, Moulines, arXiv 0805.3415); a cheap rival of learned policies, after UCB-SpecStop
(arXiv 2606.20591), of which no more than the idea was at hand.

Each γ in 1 … longest is an arm. A round's reward is a renewal reward: what an arm is worth is
Σ tokens / Σ seconds over its rounds, not the mean of their ratios, in which short rounds would
count too much. The worths are divided by the largest one, which puts them in [0, 1] as UCB1 asks,
and

    index(γ) = worth(γ) / max worth + exploration sqrt(2 ln n / n(γ))

with n(γ) the arm's rounds and n = Σ n(γ), both discounted. A round counts for the length that it
had. The first one, in which both ends also read the prompt, does not count.

The tokens depend on the clock, their distribution never. A generation begins with nothing learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from typing_extensions import override

from testbed.bounds import Factor
from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength, Length, PolicyOptions, RoundOutcome

DISCOUNT = 0.98
"""Weight of a round after one more: about the last fifty rounds matter."""


class Ucb(PolicyOptions, frozen=True, tag="ucb"):
    """The options of the bandit."""

    summary = "a bandit over draft lengths, by committed tokens per second"
    paper = "arXiv 0805.3415"

    longest: Length = 8
    """The largest draft length, and so the number of arms, e.g. 8."""
    exploration: Factor = 0.1
    """The scale of the bonus for draft lengths that were tried less, e.g. 0.1."""

    @override
    def start(self) -> DraftLength:
        return _Ucb(self)


class _Ucb(DraftLength):
    def __init__(self, options: Ucb) -> None:
        self._exploration = options.exploration
        self._timed = False
        # One column for each arm: rounds, tokens, seconds, all discounted.
        self._sums = np.zeros((3, options.longest))
        self._length = 1

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        return len(drafts) < self._length

    @override
    def learn(self, outcome: RoundOutcome) -> None:
        arms = self._sums.shape[1]
        if self._timed and 1 <= outcome.drafted <= arms:
            self._sums *= DISCOUNT
            seconds = outcome.draft_s + outcome.wait_s
            self._sums[:, outcome.drafted - 1] += 1, outcome.accepted + 1, seconds
            self._length = self._choice()
        self._timed = True

    def _choice(self) -> int:
        rounds, tokens, seconds = self._sums
        if not rounds.all():
            return int(rounds.argmin()) + 1  # every length once, the shortest first
        worth = tokens / seconds
        bonus = self._exploration * np.sqrt(2 * log(rounds.sum()) / rounds)
        return int((worth / worth.max() + bonus).argmax()) + 1
