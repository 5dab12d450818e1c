"""Compressed distributions: exact, within their bounds, and damage never passes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs import entropy
from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.codecs.entropy import Entropy
from testbed.codecs.fixed_point import FixedPoint
from testbed.codecs.sparse_fixed_point import NonZero
from testbed.decoding.lattice import Lattice
from testbed.errors import TestbedError
from tests.codecs.payloads import distribution, read, written

CODECS = [kind(precision) for kind in (Entropy, NonZero) for precision in ("fixed16", "fixed32")]
by_codec = pytest.mark.parametrize("codec", CODECS, ids=str)
by_precision = pytest.mark.parametrize("precision", ["fixed16", "fixed32"])


def test_a_machine_without_the_coder_is_told_what_to_do(monkeypatch):
    """Only this form needs it: everything else imports and runs without."""
    monkeypatch.setattr(entropy, "find_spec", lambda _name: None)
    for kind in (NonZero, FixedPoint):
        kind("fixed16").quantise(np.array([0.5, 0.5]))
    with pytest.raises(
        TestbedError, match=r"^entropy coding needs the package constriction, which"
    ):
        Entropy("fixed16")


def ideal_bits(counts) -> float:
    """Empirical entropy of the classes, and the digits behind the leading ones."""
    classes = np.array([int(count).bit_length() for count in counts])
    n = np.bincount(classes)
    n = n[n > 0]
    return float((n * np.log2(counts.size / n)).sum() + np.maximum(classes - 1, 0).sum())


def header_bits(counts, bits: int) -> int:
    """Return the classes' sizes in Elias gamma, and the number of words."""
    classes = np.array([int(count).bit_length() for count in counts])
    sizes = np.bincount(classes, minlength=bits + 1)[1:]
    gamma = sum(2 * (int(n) + 1).bit_length() - 1 for n in sizes)
    return gamma + int(counts.size * 6 // 32 + 2).bit_length()


@by_codec
@settings(deadline=None, max_examples=60)
@given(v=st.integers(1, 2000), seed=st.integers(0, 99), spread=st.floats(0, 20))
def test_what_is_written_is_read(codec, v, seed, spread):
    q = distribution(v, seed, spread)
    q_hat = codec.quantise(q)
    assert (q_hat.counts == FixedPoint(codec.precision).quantise(q).counts).all()
    got = read(codec, written(codec, q_hat).data, v)
    assert (got.counts == q_hat.counts).all()
    assert got.total == q_hat.total


@by_precision
@settings(deadline=None, max_examples=60)
@given(v=st.integers(1, 2000), seed=st.integers(0, 99), spread=st.floats(0, 20))
def test_entropy_takes_what_theory_says_and_two_words(precision, v, seed, spread):
    codec = Entropy(precision)
    q_hat = codec.quantise(distribution(v, seed, spread))
    bits = written(codec, q_hat).bits - header_bits(q_hat.counts, FixedPoint(precision).bits)
    ideal = ideal_bits(q_hat.counts)
    assert ideal - 1 <= bits <= ideal + 64
    assert ideal <= v * FixedPoint(precision).bits + 1e-6


@by_precision
@settings(deadline=None, max_examples=40)
@given(v=st.integers(1, 400), seed=st.integers(0, 99))
def test_even_the_worst_counts_are_hardly_longer_than_plain(precision, v, seed):
    """Digits spread as evenly as can be; they need not sum to ℓ to be written."""
    codec, bits = Entropy(precision), FixedPoint(precision).bits
    counts = np.random.default_rng(seed).integers(0, 1 << bits, v)
    counts[0] = max(counts[0], 1)
    payload = written(codec, Lattice.dense(counts, int(counts.sum())))
    assert payload.bits <= v * bits + header_bits(counts, bits) + 64


@by_precision
@settings(deadline=None, max_examples=40)
@given(v=st.integers(2, 2000), seed=st.integers(0, 99), spread=st.floats(0, 20))
def test_sparse_takes_an_id_and_a_number_for_each_entry(precision, v, seed, spread):
    codec = NonZero(precision)
    q_hat = codec.quantise(distribution(v, seed, spread))
    b_id = (v - 1).bit_length()
    entries = int((q_hat.counts > 0).sum())
    assert written(codec, q_hat).bits == b_id + entries * (b_id + FixedPoint(precision).bits)


@pytest.mark.parametrize(("spread", "factor"), [(3, 15), (5, 80), (20, 1000)])
def test_a_whole_vocabulary_becomes_small(spread, factor):
    codec, v = Entropy("fixed16"), 49_152
    q_hat = codec.quantise(distribution(v, 1, spread))
    payload = written(codec, q_hat)
    assert payload.bits * factor < v * 16
    assert (read(codec, payload.data, v).counts == q_hat.counts).all()


@by_codec
def test_a_certain_token(codec):
    for v in (1, 2, 3, 50_000):
        q_hat = codec.quantise(np.eye(1, v, v // 2)[0])
        payload = written(codec, q_hat)
        assert payload.bits < 180
        assert (read(codec, payload.data, v).counts == q_hat.counts).all()


@by_codec
def test_other_fields_stand_before_and_behind(codec):
    q_hat = codec.quantise(distribution(50, 3))
    writer = BitWriter()
    writer.write(5, 3)
    codec.write(writer, q_hat)
    codec.write(writer, q_hat)
    writer.write(1, 1)
    payload = writer.payload()
    assert payload.bits == 4 + 2 * written(codec, q_hat).bits  # no padding in between
    reader = BitReader(payload.data)
    assert reader.read(3) == 5
    assert all((codec.read(reader, 50).counts == q_hat.counts).all() for _ in range(2))
    assert reader.read(1) == 1
    reader.finish()


@pytest.mark.parametrize(
    ("precision", "digest"), [("fixed16", "ab59e0fc077217c7"), ("fixed32", "54c000926cb0f2b1")]
)
def test_the_payload_is_the_same_on_every_machine(precision, digest):
    """Counts without any exp or log, which machines round in their own ways."""
    total = FixedPoint(precision).total
    counts = np.array([total // (3 + i * i) * (i % 5 == 0) for i in range(3000)], np.int64)
    counts[0] += total - counts.sum()
    data = written(Entropy(precision), Lattice.dense(counts, total)).data
    assert hashlib.sha256(data).hexdigest()[:16] == digest


@by_codec
def test_every_flipped_bit_is_refused_or_gives_another_distribution(codec):
    """A few bits tell which of equal tokens has a count; none may be without a meaning."""
    q_hat = codec.quantise(distribution(20, 5))
    data = written(codec, q_hat).data
    refused = 0
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        try:
            got = read(codec, bytes(damaged), 20)
        except PayloadError:
            refused += 1
            continue
        assert (got.counts != q_hat.counts).any()
        assert written(codec, got).data == bytes(damaged)
    assert refused > 0.75 * len(data) * 8


@by_codec
@settings(deadline=None, max_examples=200)
@given(data=st.binary(min_size=0, max_size=60), v=st.integers(1, 40))
def test_rubbish_is_refused_in_words_or_is_what_write_writes(codec, data, v):
    try:
        got = read(codec, data, v)
    except PayloadError:
        return
    assert written(codec, got).data == data


@by_codec
def test_truncated_and_overlong_are_refused(codec):
    data = written(codec, codec.quantise(distribution(200, 5))).data
    for cut in (1, 2, len(data) // 2, len(data)):
        with pytest.raises(PayloadError):
            read(codec, data[:-cut], 200)
    with pytest.raises(PayloadError, match="too many"):
        read(codec, data + b"\0", 200)
    for v in (199, 100, 1):
        with pytest.raises(PayloadError):
            read(codec, data, v)


def test_what_entropy_refuses_by_name():
    codec = Entropy("fixed16")
    q_hat = codec.quantise(distribution(20, 5))
    with pytest.raises(PayloadError, match="a class has more than 20 tokens"):
        read(codec, b"\0" * 20, 20)
    writer = BitWriter()
    for _ in range(16):
        writer.write(3, 3)  # two tokens in each class
    with pytest.raises(PayloadError, match="its classes are more than tokens"):
        read(codec, writer.payload().data, 20)
    writer = BitWriter()
    codec.write(writer, Lattice.dense(q_hat.counts * 0 + 3000, 60_000))
    with pytest.raises(PayloadError, match="do not sum to ℓ = 65535"):
        read(codec, writer.payload().data, 20)


@pytest.mark.parametrize(
    ("ids", "counts"),
    [
        ([3, 2], [65_000, 535]),
        ([3, 3], [65_000, 535]),
        ([3, 20], [65_000, 535]),
        ([3, 7], [65_535, 0]),
    ],
)
def test_what_sparse_refuses(ids, counts):
    writer = BitWriter()
    writer.write(len(ids) - 1, 5)
    writer.write_array(np.array(ids), 5)
    writer.write_array(np.array(counts), 16)
    with pytest.raises(PayloadError, match="not those of ascending ids, below 20 and not 0"):
        read(NonZero("fixed16"), writer.payload().data, 20)


@given(
    bits=st.integers(1, 40),
    numbers=st.lists(st.integers(0, 2**40 - 1), max_size=50),
    before=st.integers(0, 9),
)
def test_arrays_are_the_same_bits_as_their_numbers_one_by_one(bits, numbers, before):
    numbers = [number >> (40 - bits) for number in numbers]
    one, many = BitWriter(), BitWriter()
    for writer in (one, many):
        writer.write(0, before)
    for number in numbers:
        one.write(number, bits)
    many.write_array(np.array(numbers, np.int64), bits)
    assert many.payload() == one.payload()
    reader = BitReader(many.payload().data)
    reader.read(before)
    assert reader.read_array(len(numbers), bits).tolist() == numbers
    reader.finish()


def test_numbers_that_do_not_fit_into_an_array_are_refused():
    for values in ([1, 8], [-1, 2]):
        with pytest.raises(ValueError, match="do not fit into 3 bits each"):
            BitWriter().write_array(np.array(values), 3)
    with pytest.raises(PayloadError, match="ends inside a field"):
        BitReader(b"\0").read_array(3, 3)
