"""Distributions in fixed point: exact on both ends, and damage never passes for another one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.codecs.fixed_point import FixedPoint
from tests.codecs.payloads import distribution, read, written

FIXED = [FixedPoint("fixed16"), FixedPoint("fixed32")]
by_precision = pytest.mark.parametrize("codec", FIXED, ids=lambda codec: codec.precision)


@by_precision
@settings(deadline=None, max_examples=30)
@given(v=st.integers(1, 3000), seed=st.integers(0, 99), spread=st.floats(0, 20))
def test_the_distribution_arrives_as_it_was_in_v_times_b_p_bits(codec, v, seed, spread):
    q_hat = codec.quantise(distribution(v, seed, spread))
    payload = written(codec, q_hat)
    assert payload.bits == len(payload.data) * 8 == v * codec.bits
    got = read(codec, payload.data, v)
    assert (got.counts == q_hat.counts).all()
    assert (got.probabilities == q_hat.probabilities).all()
    assert got.total == q_hat.total == 2**codec.bits - 1


@by_precision
def test_a_certain_token_fits(codec):
    """ℓ itself must fit into b_p bits."""
    q_hat = codec.quantise(np.array([0.0, 1.0, 0.0]))
    got = codec.read(BitReader(written(codec, q_hat).data), 3)
    assert got.probabilities.tolist() == [0, 1, 0]


def test_probabilities_are_big_endian_like_all_other_fields():
    q_hat = FIXED[0].quantise(np.array([2, 65533]) / 65535)
    assert written(FIXED[0], q_hat).data == b"\x00\x02\xff\xfd"


@by_precision
def test_the_scalar_is_exactly_the_probability_that_the_token_is_drawn_with(codec):
    q_hat = codec.quantise(distribution(300, 1))
    drawn = np.flatnonzero(q_hat.counts)
    writer = BitWriter()
    for token in drawn:
        codec.write_scalar(writer, q_hat, token)
    payload = writer.payload()
    assert payload.bits == len(drawn) * codec.bits
    reader = BitReader(payload.data)
    got = [codec.read_scalar(reader) for _ in drawn]
    assert got == [q_hat.probability(token) for token in drawn]
    assert got == q_hat.probabilities[drawn].tolist()


@by_precision
def test_a_scalar_of_zero_is_refused(codec):
    writer = BitWriter()
    codec.write_scalar(writer, codec.quantise(np.array([1.0, 0.0])), 1)
    with pytest.raises(PayloadError, match="a drafted token arrived with probability 0"):
        codec.read_scalar(BitReader(writer.payload().data))


@by_precision
def test_every_single_flipped_bit_is_refused(codec):
    data = written(codec, codec.quantise(distribution(20, 5))).data
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PayloadError, match=r"arrived damaged: .* do not sum"):
            codec.read(BitReader(bytes(damaged)), 20)


@by_precision
@pytest.mark.parametrize("v", [19, 21])
def test_another_vocabulary_size_is_refused(codec, v):
    q = np.array([0.05] * 20)
    reader = BitReader(written(codec, codec.quantise(q)).data)
    with pytest.raises(PayloadError):
        codec.read(reader, v)


@by_precision
def test_a_distribution_follows_bit_fields_on_a_byte_boundary(codec):
    q_hat = codec.quantise(distribution(7, 2))
    writer = BitWriter()
    writer.write(2, 3)
    codec.write(writer, q_hat)
    writer.write(1, 1)
    payload = writer.payload()
    assert payload.bits == 3 + 7 * codec.bits + 1
    reader = BitReader(payload.data)
    assert reader.read(3) == 2
    assert (codec.read(reader, 7).counts == q_hat.counts).all()
    assert reader.read(1) == 1
    reader.finish()
