from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from testbed.errors import TestbedError
from testbed.models.base import Logits
from testbed.models.block_difference import block_difference
from testbed.models.synthetic import SyntheticModel, SyntheticSession


def model() -> SyntheticModel:
    return SyntheticModel(64, 0.7, 0, role="target", name="it")


def changed(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Logits, int], Logits]
) -> SyntheticModel:
    """Return a model whose logits of a pass over so many tokens are changed."""
    extend: Any = SyntheticSession.extend

    def changing(self: Any, tokens: Sequence[int], keep: int | None = None) -> Logits:
        return change(extend(self, tokens, keep).copy(), len(tokens))

    monkeypatch.setattr(SyntheticSession, "extend", changing)
    return model()


def test_a_model_that_computes_exactly_has_none() -> None:
    assert block_difference(model()) == 0


def test_it_is_the_largest_of_all_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one token for certain in the third row of a block, and another."""

    def one_hot(logits: Logits, tokens: int) -> Logits:
        logits[:] = -np.inf
        logits[:, 3] = 0
        if tokens == 5:
            logits[2, [3, 4]] = -np.inf, 0
        return logits

    assert block_difference(changed(monkeypatch, one_hot)) == 1


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_overflow_are_refused(monkeypatch: pytest.MonkeyPatch, number: float) -> None:
    def overflow(logits: Logits, tokens: int) -> Logits:
        logits[-1, 0] = number
        return logits

    with pytest.raises(TestbedError, match=r"^model 'it' computes NaN or infinity$"):
        block_difference(changed(monkeypatch, overflow))


def test_a_block_that_is_read_again_must_have_the_same_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter(range(100))

    def drift(logits: Logits, tokens: int) -> Logits:
        return np.asarray(logits + np.float32(next(calls) * np.arange(64) * 1e-3))

    with pytest.raises(TestbedError, match="the cache of model 'it' cannot be rolled back"):
        block_difference(changed(monkeypatch, drift))
