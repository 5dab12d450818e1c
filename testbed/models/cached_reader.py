"""Predictions for a token sequence from a cached model, whatever the cache held before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.models.base import Logits, ModelSession


class CachedReader:
    """One model session that follows a token sequence as it grows and is rolled back.

    Each call compares the cache with the sequence, so callers need not report what was accepted:
    rejected drafts are rolled back, and an accepted draft that the model has not read yet (the last
    one of a round) is read.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session
        self._cached: list[int] = []
        self._last: Logits = np.empty((0, 0), np.float32)  # after the last cached token
        self.read = 0
        """Number of tokens that the last call read."""

    def logits(self, tokens: Sequence[int], keep: int = 1) -> Logits:
        """Return the predictions after each of the last `keep` of `tokens`, shape [keep, V].

        Runs one forward pass over the tokens that are not in the cache, or none if all are.
        """
        known = self._common_prefix(tokens)
        if known == len(self._cached) == len(tokens) - keep + 1:
            # The first row is known already, for instance of a prompt that was read ahead.
            new = list(tokens[known:])
            logits = np.concatenate([self._last, self._read(new, keep - 1)]) if new else self._last
        else:
            start = min(known, len(tokens) - keep)
            if start < len(self._cached):
                self._session.rollback(start)
                del self._cached[start:]
            new = list(tokens[start:])
            logits = self._read(new, keep)
        self.read = len(new)
        return logits

    def _read(self, new: list[int], keep: int) -> Logits:
        logits = self._session.extend(new, keep)
        self._cached += new
        self._last = logits[-1:]
        return logits

    def _common_prefix(self, tokens: Sequence[int]) -> int:
        known, end = 0, min(len(self._cached), len(tokens))
        middle = end  # mostly all of it; else halves, as texts are long and differ near their ends
        while known < end:
            if self._cached[known:middle] == list(tokens[known:middle]):
                known = middle
            else:
                end = middle - 1
            middle = (known + end + 1) // 2
        return known
