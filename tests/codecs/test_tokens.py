"""Token ids in ⌈log2 V⌉ bits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.codecs.tokens import decode_tokens, encode_tokens, read_tokens, write_tokens

texts = st.integers(1, 200_000).flatmap(
    lambda v: st.tuples(st.lists(st.integers(0, v - 1), max_size=20), st.just(v))
)


@settings(deadline=None)
@given(texts)
def test_round_trip(text):
    tokens, v = text
    payload = encode_tokens(tokens, v)
    assert decode_tokens(payload.data, len(tokens), v) == tokens


@pytest.mark.parametrize(
    ("v", "b_id"), [(1, 0), (2, 1), (3, 2), (1000, 10), (32_000, 15), (49_152, 16), (65_537, 17)]
)
def test_an_id_takes_the_bits_that_the_vocabulary_needs(v, b_id):
    payload = encode_tokens([v - 1, 0, v // 2], v)
    assert payload.bits == 3 * b_id
    assert len(payload.data) == -(-3 * b_id // 8)


def test_an_id_outside_the_vocabulary_is_refused_on_arrival():
    for token in (1000, 1023):  # what 10 bits can hold beyond a vocabulary of 1000
        data = encode_tokens([999, token, 0], 1024).data
        with pytest.raises(PayloadError, match=f"token id {token} is outside the vocabulary of 1"):
            decode_tokens(data, 3, 1000)
    assert decode_tokens(encode_tokens([999], 1024).data, 1, 1000) == [999]


def test_an_id_outside_the_vocabulary_may_not_be_sent():
    for token in (1000, 1024, -1):
        with pytest.raises(ValueError, match=f"{token} (is outside|does not fit)"):
            encode_tokens([token], 1000)


@pytest.mark.parametrize(("sent", "expected"), [(3, 4), (3, 2), (3, 0), (0, 1)])
def test_another_number_of_tokens_is_refused(sent, expected):
    with pytest.raises(PayloadError):
        decode_tokens(encode_tokens([5] * sent, 1000).data, expected, 1000)


def test_tokens_continue_a_payload_in_the_middle_of_a_byte():
    writer = BitWriter()
    writer.write(5, 3)
    write_tokens(writer, [1, 900, 77], 1000)
    payload = writer.payload()
    assert payload.bits == 33
    reader = BitReader(payload.data)
    assert (reader.read(3), read_tokens(reader, 3, 1000)) == (5, [1, 900, 77])
    reader.finish()
