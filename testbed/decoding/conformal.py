"""C-SQS's threshold: the mass that is dropped, held to α on average whatever the stream.

Source: SQS-SD (arXiv 2510.09942), by notes on it (caixingyi/paper_reading on GitHub), as its text
was not at hand. A draft with distribution q_n keeps X_n = {x: q_n(x) >= β_n}, drops the mass
a_n = 1 - Σ_{X_n} q_n, and moves the threshold: β_{n+1} = β_n - η (a_n - α).

Guarantee, for β_1 >= 0 and whatever q_1, q_2, …: (1/T) Σ a_n <= α + (β_1 + η (1 - α)) / (η T).
For η Σ (a_n - α) = β_1 - β_{T+1}, and β never falls below -η (1 - α): at β <= 0 everything is kept
and it rises again. The paper's is α + (|β_1| + 1 + η α) / (η T), no smaller where η <= 1. Here it
holds for the committed drafts, because a discarded draft is undone, the rejected one included; that
the paper undoes them likewise is not confirmed.
"""

from __future__ import annotations

from testbed.decoding.lattice import Ids
from testbed.decoding.sampling import Probabilities
from testbed.decoding.supports import at_least


class OnlineThreshold:
    """β, one step ahead with every draft, and back when drafts are discarded."""

    def __init__(self, alpha: float, eta: float, first: float) -> None:
        """`first` is β_1. Alpha is the mass to drop on average, `eta` the step."""
        self._alpha = alpha
        self._eta = eta
        self._states = [first]  # before the round's first draft, and after each of them

    @property
    def threshold(self) -> float:
        """β for the next draft."""
        return self._states[-1]

    def support(self, q: Probabilities) -> Ids:
        """Return the ids kept of a draft from `q`, shape [V], ascending; moves the threshold."""
        kept = at_least(q, self.threshold)
        dropped = max(0.0, 1.0 - float(q[kept].sum())) if kept.size < q.size else 0.0
        self._states.append(self.threshold - self._eta * (dropped - self._alpha))
        return kept

    def settle(self, accepted: int) -> None:
        """End the round: undo all drafts but the first `accepted`."""
        self._states = [self._states[accepted]]
