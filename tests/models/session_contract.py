"""Tests that the sessions of every engine pass; a subclass, with two fixtures, runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from testbed.errors import TestbedError
from testbed.models.base import Logits, Model

Reference = Callable[[Sequence[int]], NDArray[np.float32]]
"""Logits after each token of a text, by other code than the engine's, [tokens, V]."""
TEXT = [5, 9, 4, 7, 11, 12, 3, 8, 40, 21]


class SessionContract:
    """The contract of sessions, with fixtures `model` and `reference`; ids to 47 are used."""

    tolerance = 1e-5
    """Largest difference of logits from rounding; swapped tokens change them by 0.01 and more."""

    def near(self, found: Logits, expected: NDArray[np.float32]) -> None:
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < self.tolerance

    def test_logits_are_those_of_the_network(self, model: Model, reference: Reference) -> None:
        expected = reference(TEXT)
        assert expected.shape == (len(TEXT), model.vocabulary_size)
        self.near(model.session().extend(TEXT), expected)
        for keep in (1, 2, len(TEXT)):
            self.near(model.session().extend(TEXT, keep=keep), expected[-keep:])

    def test_one_token_more_or_less_would_show(self, reference: Reference) -> None:
        swapped = [*TEXT[:-3], TEXT[-2], TEXT[-3], TEXT[-1]]
        assert np.abs(reference(TEXT)[-1] - reference(swapped)[-1]).max() > 2 * self.tolerance

    def test_a_text_may_come_in_parts(self, model: Model, reference: Reference) -> None:
        session = model.session()
        parts = [session.extend(TEXT[:1]), session.extend(TEXT[1:6]), session.extend(TEXT[6:])]
        self.near(np.concatenate(parts), reference(TEXT))

    def test_a_sequence_can_be_rolled_back_to_every_length(
        self, model: Model, reference: Reference
    ) -> None:
        session = model.session()
        for length in range(len(TEXT)):
            session.extend([*TEXT, 1, 2, 3][session.length :])
            session.rollback(length)
            assert session.length == length
            self.near(session.extend(TEXT[length:]), reference(TEXT)[length:])

    def test_sessions_are_independent(self, model: Model, reference: Reference) -> None:
        texts = [TEXT, TEXT[::-1], [9] * len(TEXT)]
        sessions = [model.session() for _ in texts]
        found: list[list[Logits]] = [[] for _ in texts]
        for begin in range(0, len(TEXT), 2):
            for session, text, rows in zip(sessions, texts, found, strict=True):
                session.extend([1, 2])  # and another text for a moment
                session.rollback(begin)
                rows.append(session.extend(text[begin : begin + 2]))
        for text, rows in zip(texts, found, strict=True):
            self.near(np.concatenate(rows), reference(text))

    def test_wrong_calls_are_refused_and_change_nothing(
        self, model: Model, reference: Reference
    ) -> None:
        v, most = model.vocabulary_size, model.context_length
        session = model.session()
        session.extend(TEXT[:2])
        for token in (-1, v):
            with pytest.raises(TestbedError, match=f"token {token}; .* 0 to {v - 1}"):
                session.extend([token])
        with pytest.raises(TestbedError, match=f"sequence of {most + 1} tokens; .* {most}"):
            session.extend([1] * (most - 1))
        with pytest.raises(TestbedError, match="no tokens"):
            session.extend([])
        with pytest.raises(ValueError, match="keep=3 of 2"):
            session.extend([1, 2], keep=3)
        for length in (-1, 3):
            with pytest.raises(ValueError, match=f"back to {length}"):
                session.rollback(length)
        assert session.length == 2
        self.near(session.extend(TEXT[2:]), reference(TEXT)[2:])

    def test_the_whole_context_can_be_read(self, model: Model) -> None:
        session = model.session()
        session.extend([5] * model.context_length)
        assert session.length == model.context_length

    def test_warm_up_leaves_sessions_alone(self, model: Model, reference: Reference) -> None:
        session = model.session()
        session.extend(TEXT[:2])
        model.warm_up([5, 6, 7], block=4)
        assert session.length == 2
        self.near(session.extend(TEXT[2:]), reference(TEXT)[2:])
