"""SQS: a lattice on a part of the vocabulary (arXiv 2510.09942).

The paper's text was not at hand. Its parts are known: a support X of K tokens, q̃ = q / Σ_X q on
it, q̂ the nearest lattice point to q̃. The fields of each draft follow from that: K where the reader
does not know it (C-SQS), X among C(V, K), the point among C(ℓ+K-1, K-1), the drawn token among K.
How the authors order or round these numbers is not known; here the whole message is one number.
"""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.codecs.enumerative import Ranks
from testbed.codecs.enumerative_codec import Ranked, drawn_at
from testbed.decoding.bit_counts import c_sqs_bits, id_bits, k_sqs_bits
from testbed.decoding.lattice import Ids, Lattice, quantise
from testbed.decoding.sampling import Probabilities


class Sqs(Ranked):
    """log2 C(V, K) + log2 C(ℓ+K-1, K-1) + log2 K bits a draft, + log2 V where K varies.

    A few bits more for the whole message: see Ranks. A token of the support may have count 0.
    """

    def __init__(
        self,
        total: int,
        vocabulary_size: int,
        support: Callable[[Probabilities], Ids],
        size: int | None = None,
    ) -> None:
        """`support` chooses X, ascending; `size` is K where it is always the same."""
        super().__init__(total, vocabulary_size)
        self._support = support
        self._size = size

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        return quantise(q, self.total, self._support(q))

    @override
    def push(self, ranks: Ranks, draft: Drawn) -> None:
        ranks.push(draft.q.place(draft.token), draft.q.support.size)
        self.push_lattice(ranks, draft.q)

    def push_lattice(self, ranks: Ranks, q: Lattice) -> None:
        """Write q̂ alone."""
        size = q.support.size
        ranks.push_composition(q.counts)
        ranks.push_subset(q.support, self.vocabulary_size)
        if self._size is None:
            ranks.push(size - 1, self.vocabulary_size)
        elif size != self._size:
            raise ValueError(f"a support of {size} tokens where both ends agreed on {self._size}")

    @override
    def pop(self, ranks: Ranks) -> Drawn:
        q = self.pop_lattice(ranks)
        return drawn_at(ranks.pop(q.support.size), q)

    def pop_lattice(self, ranks: Ranks) -> Lattice:
        """Read q̂ alone."""
        size = self._size or ranks.pop(self.vocabulary_size) + 1
        support = ranks.pop_subset(size, self.vocabulary_size)
        counts = ranks.pop_composition(size, self.total)
        return Lattice(counts, self.total, support, self.vocabulary_size)

    @override
    def formula_bits(self, q: Lattice) -> float:
        # Not a whole number, see k_sqs_bits, and ⌈log2 K⌉ for the drawn token.
        return self._bits(q.support.size)

    @property
    @override
    def constant_bits(self) -> float | None:
        return None if self._size is None else self._bits(self._size)

    def _bits(self, size: int) -> float:
        bits = c_sqs_bits if self._size is None else k_sqs_bits
        return bits(self.vocabulary_size, size, self.total) + id_bits(size)
