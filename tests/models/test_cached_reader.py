"""CachedReader: the cache follows the sequence, and no token is read twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.models.cached_reader import CachedReader
from tests.support.toy import ToyModel, ToySession

MODEL = ToyModel(4, 1)


class Spy(ToySession):
    """A session that records how many tokens each pass reads."""

    def __init__(self):
        super().__init__(MODEL)
        self.passes = []

    def extend(self, tokens, keep=None):
        if len(self.text) + len(tokens) > 50:
            raise ValueError("too long")
        self.passes.append(len(tokens))
        return super().extend(tokens, keep)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 5)),
        min_size=1,
        max_size=12,
    )
)
def test_any_sequence_of_texts_gives_the_logits_of_a_fresh_model(requests):
    reader = CachedReader(Spy())
    for text, keep in requests:
        rows = min(keep, len(text))
        wanted = ToySession(MODEL).extend(text)[-rows:]
        np.testing.assert_array_equal(reader.logits(text, rows), wanted)


def test_a_text_read_ahead_costs_nothing_again():
    spy = Spy()
    reader = CachedReader(spy)
    ahead = reader.logits([0, 1, 2])
    np.testing.assert_array_equal(reader.logits([0, 1, 2]), ahead)
    assert spy.passes == [3]


def test_a_round_reads_the_new_tokens_only():
    spy = Spy()
    reader = CachedReader(spy)
    reader.logits([0, 1, 2])
    reader.logits([0, 1, 2, 3, 3, 3], keep=4)  # a block of three drafts, and the token before
    reader.logits([0, 1, 2, 3, 0, 1, 1], keep=3)  # one accepted, one resampled, two new drafts
    assert spy.passes == [3, 3, 3]


def test_a_refused_text_leaves_the_reader_as_it_was():
    spy = Spy()
    reader = CachedReader(spy)
    before = reader.logits([0, 1, 2])
    for _ in range(2):
        with pytest.raises(ValueError, match="too long"):
            reader.logits([0, 1, 3] * 20)
    np.testing.assert_array_equal(reader.logits([0, 1, 2]), before)
