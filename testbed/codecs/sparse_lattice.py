"""QS's lattice point, sent in two steps: which tokens have a count at all, and how ℓ is shared out.

The distribution and the drawn token are those of testbed.codecs.simplex. That form gives every
lattice point as many bits as any other, though q̂ of a language model is never spread over ℓ tokens.
Here a point costs the fewer bits the fewer tokens m share in it, and never more than log2 ℓ above.
"""

from __future__ import annotations

from math import log2

import numpy as np
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.codecs.enumerative import Ranks
from testbed.codecs.enumerative_codec import LatticeCodec, drawn_at
from testbed.decoding.bit_counts import log2_binomial
from testbed.decoding.lattice import Lattice, quantise
from testbed.decoding.sampling import Probabilities


class SparseLattice(LatticeCodec):
    """log2 min(ℓ, V) + log2 C(V, m) + log2 C(ℓ-1, m-1) + log2 m bits a draft.

    These are m, the tokens, their counts of 1 and more, and the drawn one's position among them; a
    few bits more for the whole message: see Ranks.
    """

    name = "support"

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return _without_zeros(quantise(q, self.total))

    @override
    def push(self, ranks: Ranks, draft: Drawn) -> None:
        q = _without_zeros(draft.q)
        ranks.push(q.place(draft.token), q.support.size)
        ranks.push_composition(q.counts - 1)
        ranks.push_subset(q.support, self.vocabulary_size)
        ranks.push(q.support.size - 1, self._sizes)

    @override
    def pop(self, ranks: Ranks) -> Drawn:
        size = ranks.pop(self._sizes) + 1
        support = ranks.pop_subset(size, self.vocabulary_size)
        counts = ranks.pop_composition(size, self.total - size) + 1
        q = Lattice(counts, self.total, support, self.vocabulary_size)
        return drawn_at(ranks.pop(size), q)

    @override
    def formula_bits(self, q: Lattice) -> float:
        # By this form's own formula: the paper counts the other one.
        return self.bits(int(np.count_nonzero(q.counts)))

    @override
    def bits(self, used: int) -> float:
        tokens = log2_binomial(self.vocabulary_size, used)
        counts = log2_binomial(self.total - 1, used - 1)
        return log2(self._sizes) + tokens + counts + log2(used)

    @property
    def _sizes(self) -> int:
        return min(self.total, self.vocabulary_size)


def _without_zeros(q: Lattice) -> Lattice:
    if q.counts.all():
        return q
    kept = np.flatnonzero(q.counts)
    return Lattice(q.counts[kept], q.total, q.support[kept], q.vocabulary_size)
