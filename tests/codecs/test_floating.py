"""Distributions in floating point: what is drawn from is what the wire carries, to the last bit."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import BitReader, PayloadError
from testbed.codecs.dense import Dense
from testbed.codecs.floating import Floating
from tests.codecs.payloads import distribution, drafted, read, same_drafts, written

FLOATS = [Floating("fp32"), Floating("fp16"), Floating("bf16")]
by_precision = pytest.mark.parametrize("codec", FLOATS, ids=lambda codec: codec.precision)
UNIT = {"fp32": (2.0**-24, 2.0**-53), "fp16": (2.0**-11, 2.0**-25), "bf16": (2.0**-9, 2.0**-53)}
"""Rounding to the nearest moves a number by this factor of it at most, or by this much."""


def data_of(codec, lattice) -> bytes:
    payload = written(codec, lattice)
    assert payload.bits == len(payload.data) * 8 == lattice.vocabulary_size * codec.bits
    return payload.data


def on_the_wire(codec, values) -> bytes:
    """Any values at all, by means that are not the codec's."""
    if codec.precision == "fp16":
        return b"".join(struct.pack(">e", x) for x in values)
    raw = b"".join(struct.pack(">f", x) for x in values)
    if codec.precision == "fp32":
        return raw
    return b"".join(raw[i : i + 2] for i in range(0, len(raw), 4))


@by_precision
@settings(deadline=None, max_examples=60)
@given(v=st.integers(1, 3000), seed=st.integers(0, 99), spread=st.floats(0, 40))
def test_what_is_drawn_from_arrives_exactly(codec, v, seed, spread):
    """Down to spreads where most probabilities are far below what the format can hold."""
    q_hat = codec.quantise(distribution(v, seed, spread))
    data = data_of(codec, q_hat)
    got = read(codec, data, v)
    assert (got.counts == q_hat.counts).all()
    assert got.total == q_hat.total
    assert (got.probabilities == q_hat.probabilities).all()
    assert data_of(codec, got) == data


@by_precision
@settings(deadline=None, max_examples=60)
@given(v=st.integers(1, 3000), seed=st.integers(0, 99), spread=st.floats(0, 40))
def test_it_is_as_near_as_rounding_allows(codec, v, seed, spread):
    """Each probability moves by at most half a unit; normalising can no more than double that."""
    q = distribution(v, seed, spread)
    q_hat = codec.quantise(q)
    relative, absolute = UNIT[codec.precision]
    bound = np.maximum(q * relative, absolute).sum()
    assert 0.5 * np.abs(q_hat.probabilities - q).sum() <= bound + 1e-15
    assert not q_hat.counts[q == 0].any()  # the support never grows


@by_precision
@pytest.mark.parametrize("v", [49_152, 151_936])
@pytest.mark.parametrize("spread", [0, 1, 4])
def test_whole_vocabularies(codec, v, spread):
    q = distribution(v, 1, spread)
    q_hat = codec.quantise(q)
    got = read(codec, data_of(codec, q_hat), v)
    assert (got.counts == q_hat.counts).all()
    # fp16 has nothing below 2^-24: with 151 936 about equal tokens it is coarse, and says so.
    allowed = {"fp32": 2e-7, "fp16": 6e-3, "bf16": 4e-3}[codec.precision]
    assert 0.5 * np.abs(q_hat.probabilities - q).sum() < allowed


@by_precision
def test_the_bytes_are_the_formats_own(codec):
    """Big-endian, rounded to the nearest, as struct writes them."""
    q = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0])
    assert data_of(codec, codec.quantise(q)) == on_the_wire(codec, q)
    assert read(codec, on_the_wire(codec, q), 6).probabilities.tolist() == q.tolist()
    certain = codec.quantise(np.array([0.0, 1.0, 0.0]))
    assert read(codec, data_of(codec, certain), 3).probabilities.tolist() == [0, 1, 0]


@pytest.mark.parametrize("codec", FLOATS[:2], ids=lambda codec: codec.precision)
def test_random_values_are_rounded_as_struct_rounds_them(codec):
    q = distribution(2000, 4, 2)
    q = q[q > 2**-22]  # where neither format has lost its digits to the unit of 2^-52
    q /= q.sum()
    assert data_of(codec, codec.quantise(q)) == on_the_wire(codec, q)


def test_ties_go_to_the_even_neighbour():
    """Between 1/2 and 1, bf16 is spaced by 2^-8 and fp16 by 2^-11."""
    for codec, unit in ((FLOATS[2], 2.0**-8), (FLOATS[1], 2.0**-11)):
        for n, wanted in ((1, 0), (3, 4), (5, 4), (7, 8)):
            q = np.array([0.5 + n * unit / 2, 0.5 - n * unit / 2])
            counts = codec.quantise(q).counts
            assert counts[0] == (0.5 + wanted * unit / 2) * 2**52
        just_above = codec.quantise(np.array([0.5 + unit * (0.5 + 2**-10), 0.25])).counts
        assert just_above[0] == (0.5 + unit) * 2**52


def numbers_of(precision: str) -> np.ndarray:
    """All numbers from 0 to 1 of a format of 16 bits, by struct; ascending, as their bits are."""
    if precision == "fp16":
        raw = range(0x3C00 + 1)
        return np.array([struct.unpack(">e", struct.pack(">H", each))[0] for each in raw])
    raw = range(0x3F80 + 1)
    return np.array([struct.unpack(">f", struct.pack(">HH", each, 0))[0] for each in raw])


def nearest(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the index of the nearest of ascending `numbers`, the even one of two as near."""
    above = np.searchsorted(numbers, values).clip(1, numbers.size - 1)
    below = above - 1
    middle = (numbers[below] + numbers[above]) / 2
    up = (values > middle) | ((values == middle) & (above % 2 == 0))
    return np.where(up, above, below)


def awkward(numbers: np.ndarray) -> np.ndarray:
    """All numbers, all middles, what is next to either, and what is far below the least."""
    middles = (numbers[1:] + numbers[:-1]) / 2
    some = np.concatenate([numbers, middles])
    tiny = [5e-324, 1e-310, 2.0**-1022, 1e-300, 2.0**-1000, 2.0**-149, 2.0**-60, 2.0**-53, 2.0**-25]
    around = [np.nextafter(some, -1), some, np.nextafter(some, 2), tiny]
    return np.concatenate(around).clip(0, 1)


@pytest.mark.parametrize("codec", FLOATS[1:], ids=lambda codec: codec.precision)
def test_every_number_every_middle_and_their_neighbours_are_rounded_to_the_nearest(codec):
    numbers = numbers_of(codec.precision)
    values = awkward(numbers)
    # What bf16 rounds is fp32 already.
    given_to_it = values.astype(np.float32).astype(float) if codec.precision == "bf16" else values
    wanted = numbers[nearest(given_to_it, numbers)]
    q_hat = codec.quantise(values)
    assert (q_hat.counts == np.rint(wanted * 2.0**52)).all()
    assert data_of(codec, q_hat) == on_the_wire(codec, np.rint(wanted * 2.0**52) / 2.0**52)


def test_fp32_rounds_as_struct_rounds():
    rng = np.random.default_rng(5)
    values = awkward(np.sort(rng.random(3000).astype(np.float32) ** 9).astype(float))
    wanted = np.array([struct.unpack(">f", struct.pack(">f", x))[0] for x in values])
    assert (FLOATS[0].quantise(values).counts == np.rint(wanted * 2.0**52)).all()


@pytest.mark.parametrize("codec", FLOATS[1:], ids=lambda codec: codec.precision)
def test_every_number_of_16_bits_is_read_or_refused(codec):
    """Beside 3/4; what is read is the number that struct reads."""
    numbers = numbers_of(codec.precision)
    exact = numbers * 2.0**52 == np.rint(numbers * 2.0**52)
    beside = on_the_wire(codec, [0.75])
    for raw in range(1 << 16):
        data = beside + struct.pack(">H", raw)
        if raw < numbers.size and exact[raw]:
            assert read(codec, data, 2).counts.tolist() == [3 * 2**50, numbers[raw] * 2**52]
        elif raw % 64 == 0 or raw < numbers.size + 64:
            with pytest.raises(PayloadError, match="a distribution arrived damaged"):
                read(codec, data, 2)


def test_what_is_too_small_for_the_format_is_0():
    for codec, least in ((FLOATS[0], 2.0**-52), (FLOATS[1], 2.0**-24), (FLOATS[2], 2.0**-52)):
        q = np.array([1 - 3 * least, least, least / 2, least / 4])
        counts = codec.quantise(q).counts
        assert (counts > 0).tolist() == [True, True, False, False]


def test_probabilities_are_normalised_after_rounding():
    """Three thirds are not 1 in any of these formats, yet q̂ is a distribution."""
    for codec in FLOATS:
        q_hat = codec.quantise(np.full(3, 1 / 3))
        assert q_hat.probabilities.tolist() == [1 / 3] * 3
        assert q_hat.total == q_hat.counts.sum() != 2**52


REFUSED = {
    "not a number": [0.5, float("nan"), 0.25],
    "infinite": [0.5, float("inf"), 0.25],
    "minus infinite": [0.5, float("-inf"), 0.25],
    "negative": [0.75, -0.25, 0.5],
    "minus 0": [0.5, -0.0, 0.5],
    "all zero": [0.0, 0.0, 0.0],
    "a sum of 2": [1.0, 0.5, 0.5],
    "a sum of a half": [0.25, 0.25, 0.0],
    "next to nothing": [2.0**-60, 0.0, 0.0],
    "far too large": [3.0, 60000.0, 0.0],
}


@by_precision
@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_distribution_is_refused(codec, values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PayloadError, match="a distribution arrived damaged"):
            codec.read(BitReader(on_the_wire(codec, values)), 3)


@pytest.mark.parametrize("codec", [FLOATS[0], FLOATS[2]], ids=lambda codec: codec.precision)
def test_numbers_that_are_never_written_are_refused(codec):
    for exact in (2.0**-52, 2.0**-45 * (1 + 2**-7)):
        got = read(codec, on_the_wire(codec, [1.0, exact]), 2)
        assert got.counts.tolist() == [2**52, exact * 2**52]
    for small in (2.0**-53, 2.0**-60, 2.0**-126, 2.0**-46 * (1 + 2**-7)):
        with pytest.raises(PayloadError, match="no multiple of 2\\^-52"):
            codec.read(BitReader(on_the_wire(codec, [1.0, small])), 2)


@by_precision
def test_a_flipped_bit_is_refused_or_seen(codec):
    """Rounded numbers have no sum to check: what isn't refused must at least not pass for q̂."""
    q_hat = codec.quantise(distribution(20, 5))
    data = data_of(codec, q_hat)
    refused = 0
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            got = read(codec, bytes(damaged), 20)
        except PayloadError:
            refused += 1
            continue
        assert (got.counts != q_hat.counts).any()
        assert data_of(codec, got) == bytes(damaged)
    assert refused >= 20  # every sign at least


@by_precision
def test_truncated_and_overlong_are_refused(codec):
    data = data_of(codec, codec.quantise(distribution(20, 5)))
    with pytest.raises(PayloadError, match="ends inside an array"):
        read(codec, data[:-1], 20)
    with pytest.raises(PayloadError, match="too many"):
        read(codec, data + b"\0", 20)


@by_precision
@pytest.mark.parametrize("q", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 0.0], [-1.0, 2.0]], ids=str)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_what_is_no_distribution_cannot_be_quantised(codec, q):
    with pytest.raises(ValueError):
        codec.quantise(np.array(q))


@by_precision
def test_drafts_of_dsd_cross_in_v_times_b_p_and_b_id_bits(codec):
    dense = Dense(codec, 37)
    drafts = drafted(dense, [distribution(37, seed) for seed in range(3)])
    payload = dense.encode(drafts)
    assert payload.bits == 3 * (37 * codec.bits + 6)
    assert same_drafts(dense.decode(payload.data, 3), drafts)
    assert dense.formula_bits(drafts[0].q) == 37 * codec.bits + 6
