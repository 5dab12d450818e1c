"""Codecs that make one number of a whole message: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.bits import Payload, PayloadError, width
from testbed.codecs.enumerative import Ranks, received
from testbed.decoding.lattice import Lattice


class Ranked(Codec):
    """Carries lattices with denominator `total` = ℓ that both ends know."""

    def __init__(self, total: int, vocabulary_size: int) -> None:
        self.total = total
        self.vocabulary_size = vocabulary_size

    @property
    @override
    def constant_bits(self) -> float | None:
        return None  # unless a subclass knows better

    @abstractmethod
    def push(self, ranks: Ranks, draft: Drawn) -> None:
        """Write one draft: its last field first. Raises ValueError on another's."""

    @abstractmethod
    def pop(self, ranks: Ranks) -> Drawn:
        """Read one draft, its first field first. Raises PayloadError on damage."""

    @override
    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        return self._written(drafts).payload()

    @override
    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        ranks = self.received(data, drafts)
        drawn = [self.pop(ranks) for _ in range(drafts)]
        ranks.finish()
        return drawn

    def received(self, data: bytes, drafts: int) -> Ranks:
        """Return a message to read `drafts` drafts from. Raises PayloadError if it is too long."""
        return received(data, drafts, self.most_bits)

    @property
    def most_bits(self) -> int:
        """Bits that no draft exceeds, but for rounding."""
        v, total = self.vocabulary_size, self.total
        # A bit for each token, one for each star and bar or a number for each, the position, the
        # size.
        return v + min(total + v, v * width(total + 1)) + 2 * width(v)

    def _written(self, drafts: Sequence[Drawn]) -> Ranks:
        ranks = Ranks()
        for draft in reversed(drafts):
            if (draft.q.total, draft.q.vocabulary_size) != (self.total, self.vocabulary_size):
                raise ValueError(
                    f"a lattice of {draft.q.total} on {draft.q.vocabulary_size} tokens where both "
                    f"ends agreed on {self.total} on {self.vocabulary_size}"
                )
            self.push(ranks, draft)
        return ranks


class LatticeCodec(Ranked):
    """Carries lattice points over the whole vocabulary: QS's q̂.

    A subclass in a module of its own in this package is found by its `name`.
    """

    name: ClassVar[str]

    @abstractmethod
    def bits(self, used: int) -> float:
        """Return the bits of a draft whose q̂ has a count on `used` tokens."""


def drawn_at(place: int, q: Lattice) -> Drawn:
    """Return the draft whose token is at index `place` of the support.

    Raises PayloadError when it cannot have been drawn.
    """
    token = int(q.support[place])
    if q.counts[place] == 0:
        raise PayloadError(f"drafted token {token} arrived with probability 0")
    return Drawn(token, q)
