"""Reading a text with a cached model, whatever was cached before."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.models.base import Logits, ModelSession


class Reader:
    """Keeps one model session in step with a text that grows and is cut back.

    Rejected drafts are rolled back, and a draft that was accepted but never read (the last one of a
    round) is fed, because the cache is compared with the text itself instead of being told.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._cached: list[int] = []

    def logits(self, text: Sequence[int], keep: int = 1) -> Logits:
        """Predictions after each of the last `keep` tokens of `text`, shape [keep, V].

        One forward pass over what the cache does not hold yet.
        """
        start = min(self._common_prefix(text), len(text) - keep)
        if start < len(self._cached):
            self._session.rollback(start)
        new = list(text[start:])
        self._cached[start:] = new
        return self._session.extend(new, keep)

    def _common_prefix(self, text: Sequence[int]) -> int:
        for i, (cached, wanted) in enumerate(zip(self._cached, text, strict=False)):
            if cached != wanted:
                return i
        return min(len(self._cached), len(text))
