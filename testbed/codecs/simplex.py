"""QS's own code (arXiv 2507.00605): which lattice point over the whole vocabulary q̂ is.

There are C(ℓ+V-1, V-1) points; the number of the one that was drawn from goes up, and the id of the
drawn token. Most counts are 0 where ℓ < V: see testbed.codecs.sparse_lattice for the shorter form.
"""

from __future__ import annotations

from math import log2

from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.codecs.enumerative import Ranks
from testbed.codecs.enumerative_codec import LatticeCodec, drawn_at
from testbed.decoding.bit_counts import id_bits, log2_binomial, qs_bits
from testbed.decoding.lattice import Lattice, quantise
from testbed.decoding.sampling import Probabilities


class Simplex(LatticeCodec):
    """log2 C(ℓ+V-1, V-1) + log2 V bits a draft, and a few for the message: see Ranks."""

    name = "simplex"

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return quantise(q, self.total)

    @override
    def push(self, ranks: Ranks, draft: Drawn) -> None:
        ranks.push(draft.q.place(draft.token), self.vocabulary_size)
        ranks.push_composition(draft.q.counts)

    @override
    def pop(self, ranks: Ranks) -> Drawn:
        q = Lattice.dense(ranks.pop_composition(self.vocabulary_size, self.total), self.total)
        return drawn_at(ranks.pop(self.vocabulary_size), q)

    @override
    def formula_bits(self, q: Lattice) -> float:
        return self.constant_bits

    @property
    @override
    def constant_bits(self) -> float:
        # The authors' code adds 16, b_id of its models.
        return qs_bits(self.vocabulary_size, self.total) + id_bits(self.vocabulary_size)

    @override
    def bits(self, used: int) -> float:
        points = log2_binomial(self.total + self.vocabulary_size - 1, self.total)
        return points + log2(self.vocabulary_size)
