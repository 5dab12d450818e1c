"""Two drafts more after a round that was accepted whole, one less after any other.

Source: transformers' assisted generation ("heuristic" schedule), which begins with 20; here the
beginning is an option.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.drafting.base import DraftLength, Length, PolicyOptions, RoundOutcome


class Heuristic(PolicyOptions, frozen=True, tag="heuristic"):
    """The options of the heuristic of transformers."""

    summary = "two drafts more after a round that was accepted whole, one less after any other"
    paper = "transformers"

    first: Length = 5
    """The draft length of the first round, e.g. 5."""
    longest: Length = 16
    """The largest draft length, e.g. 16."""

    @override
    def start(self) -> DraftLength:
        return _Heuristic(self)


class _Heuristic(DraftLength):
    def __init__(self, options: Heuristic) -> None:
        self._longest = options.longest
        self._length = min(options.first, options.longest)

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        return len(drafts) < self._length

    @override
    def learn(self, outcome: RoundOutcome) -> None:
        whole = outcome.accepted == outcome.drafted
        self._length = min(self._length + 2, self._longest) if whole else max(self._length - 1, 1)
