"""The same draft length in every round: γ as a plain number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength


@dataclass(frozen=True)
class Fixed(DraftLength):
    """Always `length` drafts."""

    length: int

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        return len(drafts) < self.length
