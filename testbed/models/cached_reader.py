"""Reading a text with a cached model, whatever was cached before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.models.base import Logits, ModelSession


class CachedReader:
    """Keeps one model session in step with a text that grows and is cut back.

    Rejected drafts are rolled back, and a draft that was accepted but never read (the last one of a
    round) is fed, because the cache is compared with the text itself instead of being told.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._cached: list[int] = []
        self._last: Logits = np.empty((0, 0), np.float32)  # after the last cached token
        self.read = 0
        """How many tokens the last call had to read."""

    def logits(self, text: Sequence[int], keep: int = 1) -> Logits:
        """Predictions after each of the last `keep` tokens of `text`, shape [keep, V].

        One forward pass over what the cache does not hold yet, if anything.
        """
        known = self._common_prefix(text)
        if known == len(self._cached) == len(text) - keep + 1:
            # The first row is known: the text was read up to there, as a prompt is ahead.
            new = list(text[known:])
            logits = np.concatenate([self._last, self._read(new, keep - 1)]) if new else self._last
        else:
            start = min(known, len(text) - keep)
            if start < len(self._cached):
                self._session.rollback(start)
                del self._cached[start:]
            new = list(text[start:])
            logits = self._read(new, keep)
        self.read = len(new)
        return logits

    def _read(self, new: list[int], keep: int) -> Logits:
        logits = self._session.extend(new, keep)
        self._cached += new
        self._last = logits[-1:]
        return logits

    def _common_prefix(self, text: Sequence[int]) -> int:
        for i, (cached, wanted) in enumerate(zip(self._cached, text, strict=False)):
            if cached != wanted:
                return i
        return min(len(self._cached), len(text))
