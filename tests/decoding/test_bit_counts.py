"""Bits per draft: the numbers of a large vocabulary, and binomials counted another way."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement, pairwise

import pytest

from testbed.decoding import bit_counts

OPT = 50272  # V of the OPT models
LLAMA = 32000


def test_full_distributions_of_the_opt_vocabulary():
    assert bit_counts.id_bits(OPT) == 16
    assert bit_counts.dsd_bits(OPT, 16) == 804_352
    assert bit_counts.dsd_bits(LLAMA, 16) == 512_000


@pytest.mark.parametrize(
    ("total", "bits"), [(720, 5451), (240, 2193), (24, 296), (16, 206), (4, 58)]
)
def test_qs_on_the_opt_vocabulary(total, bits):
    assert bit_counts.qs_bits(OPT, total) == bits


@pytest.mark.parametrize(("kept", "bits"), [(8, 144), (32, 482), (64, 856)])
def test_k_sqs_on_the_opt_vocabulary(kept, bits):
    assert round(bit_counts.k_sqs_bits(OPT, kept, 100)) == bits
    c_sqs = bit_counts.c_sqs_bits(OPT, kept, 100)
    assert c_sqs - bit_counts.k_sqs_bits(OPT, kept, 100) == pytest.approx(16)


def test_sparse_probabilities_with_their_indices():
    assert bit_counts.tk_slt_bits(320, 16) == 5120
    assert bit_counts.tk_slt_honest_bits(OPT, 320, 16) == 16 + 10_240
    assert bit_counts.tk_slt_honest_bits(OPT, OPT // 10, 16) == pytest.approx(161_000, rel=1e-3)


def test_dssd_up_and_down():
    assert bit_counts.dssd_uplink_bits(OPT, 16) == 32
    assert bit_counts.dssd_downlink_bits(OPT, 16, 7, rejected=True) == 3 + 804_352
    assert bit_counts.dssd_downlink_bits(OPT, 16, 7, rejected=False) == 3 + 16
    assert bit_counts.answer_bits(OPT, 8) == 4 + 16


def test_id_bits_is_the_least_number_of_bits_that_tells_them_apart():
    for n in [*range(1, 2000), 2**40 - 1, 2**40, 2**40 + 1]:
        bits = bit_counts.id_bits(n)
        assert 2**bits >= n
        assert bits == 0 or 2 ** (bits - 1) < n


def test_qs_counts_the_lattice_itself():
    for size in range(1, 6):
        for total in range(1, 7):
            points = sum(1 for _ in combinations_with_replacement(range(size), total))
            assert bit_counts.qs_bits(size, total) == math.ceil(math.log2(points))


def test_qs_ceiling_against_another_recurrence():
    """C(ℓ+V-1, V-1) grows by a factor (ℓ+V)/(ℓ+1) with ℓ: big integers, no call of math.comb."""
    for size in (2, 3, 17, 128, 1000, LLAMA):
        points = 1
        for total in range(1, 200):
            points = points * (total + size - 1) // total
            bits = bit_counts.qs_bits(size, total)
            assert 2**bits >= points > 2 ** (bits - 1)


def test_qs_steps_up_just_past_a_power_of_two():
    assert bit_counts.qs_bits(2, 2**20 - 1) == 20  # V = 2: ℓ + 1 points
    assert bit_counts.qs_bits(2, 2**20) == 21


def test_k_sqs_against_the_binomials_themselves():
    for size in (10, 1000, OPT):
        for kept in (1, 2, 9, size // 2, size):
            for total in (1, 100, 2**16):
                points = math.comb(size, kept) * math.comb(total + kept - 1, kept - 1)
                got = bit_counts.k_sqs_bits(size, kept, total)
                assert got == pytest.approx(math.log2(points), rel=1e-12, abs=1e-9)


def test_k_sqs_that_keeps_everything_is_qs():
    for total in (1, 7, 100):
        dense = bit_counts.k_sqs_bits(1000, 1000, total)
        assert math.ceil(dense) == bit_counts.qs_bits(1000, total)


def test_finer_lattices_cost_more():
    bits = [bit_counts.qs_bits(OPT, total) for total in (1, 2, 4, 16, 24, 240, 720, 2**16)]
    assert all(a < b for a, b in pairwise(bits))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bit_counts.id_bits(0), "number of choices is 0; it must be at least 1"),
        (lambda: bit_counts.dsd_bits(0, 16), "V is 0; it must be at least 1"),
        (lambda: bit_counts.dsd_bits(10, 0), "b_p is 0; it must be at least 1"),
        (lambda: bit_counts.qs_bits(10, 0), "ℓ is 0; it must be at least 1"),
        (lambda: bit_counts.k_sqs_bits(10, 11, 5), "K is 11; it must be from 1 to V = 10"),
        (lambda: bit_counts.c_sqs_bits(10, 0, 5), "K is 0; it must be from 1 to V = 10"),
        (lambda: bit_counts.tk_slt_bits(0, 16), "K is 0; it must be at least 1"),
        (lambda: bit_counts.tk_slt_honest_bits(10, 11, 16), "K is 11; it must be from 1 to"),
        (lambda: bit_counts.dssd_uplink_bits(10, 0), "b_p is 0"),
        (lambda: bit_counts.answer_bits(10, 0), "γ is 0; it must be at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
