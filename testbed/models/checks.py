"""Checks of arguments that all model sessions share."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.errors import TestbedError
from testbed.models.base import Model


def check_extension(model: Model, length: int, tokens: Sequence[int], keep: int | None) -> int:
    """Check `extend(tokens, keep)` on a sequence of `length` tokens; return the rows to keep.

    Raises TestbedError for the reasons given at ModelSession.extend, and ValueError unless
    1 <= keep <= len(tokens).
    """
    if not tokens:
        raise TestbedError(f"model '{model.name}' was given no tokens; at least one is needed")
    if min(tokens) < 0 or max(tokens) >= model.vocabulary_size:
        wrong = next(token for token in tokens if not 0 <= token < model.vocabulary_size)
        raise TestbedError(
            f"model '{model.name}' was given token {wrong}; "
            f"its vocabulary allows 0 to {model.vocabulary_size - 1}"
        )
    if length + len(tokens) > model.context_length:
        raise TestbedError(
            f"model '{model.name}' was given a sequence of {length + len(tokens)} tokens; "
            f"its context allows {model.context_length}"
        )
    rows = len(tokens) if keep is None else keep
    if not 1 <= rows <= len(tokens):
        raise ValueError(f"keep={keep} of {len(tokens)} tokens")
    return rows


def check_rollback(length: int, to: int) -> None:
    """Raise ValueError unless a sequence of `length` tokens can be rolled back to `to` tokens."""
    if not 0 <= to <= length:
        raise ValueError(f"cannot roll a sequence of {length} tokens back to {to}")
