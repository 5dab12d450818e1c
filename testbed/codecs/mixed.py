"""A codec whose ℓ is chosen for every draft: which of the known ones it is travels along."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.bits import Payload, width
from testbed.codecs.enumerative import Ranks, received
from testbed.codecs.enumerative_codec import Ranked
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities


class Mixed(Codec):
    """The fields of the codec of the chosen ℓ, and log2 n bits a draft for n codecs."""

    def __init__(self, codecs: Sequence[Ranked]) -> None:
        """`codecs` differ in ℓ, the finest last."""
        self._codecs = codecs
        self._places = {codec.total: place for place, codec in enumerate(codecs)}

    @override
    def quantise(self, q: Probabilities, total: int | None = None) -> Lattice:
        """Quantise with ℓ = `total`, one of those of `codecs`; with the finest unless given."""
        place = -1 if total is None else self._places[total]
        return self._codecs[place].quantise(q)

    @override
    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        return self._written(drafts).payload()

    @override
    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        most = max(codec.most_bits for codec in self._codecs) + width(len(self._codecs))
        ranks = received(data, drafts, most)
        drawn = [self._codecs[ranks.pop(len(self._codecs))].pop(ranks) for _ in range(drafts)]
        ranks.finish()
        return drawn

    @override
    def formula_bits(self, q: Lattice) -> float:
        return self._codecs[self._places[q.total]].formula_bits(q) + log2(len(self._codecs))

    @property
    @override
    def constant_bits(self) -> None:
        return None  # ℓ is chosen when q is known

    def _written(self, drafts: Sequence[Drawn]) -> Ranks:
        ranks = Ranks()
        for draft in reversed(drafts):
            place = self._places.get(draft.q.total)
            if place is None:
                raise ValueError(
                    f"a lattice of {draft.q.total} where both ends agreed on one of "
                    f"{', '.join(map(str, self._places))}"
                )
            self._codecs[place].push(ranks, draft)
            ranks.push(place, len(self._codecs))
        return ranks
