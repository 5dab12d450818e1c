"""One number for a message: every message has its own, none wastes a bit, damage is refused."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs import enumerative as module
from testbed.codecs.bits import PayloadError
from testbed.codecs.enumerative import Ranks
from tests.codecs.payloads import log2_comb


def lattice_points(size: int, total: int) -> list[tuple[int, ...]]:
    """Every way to share `total` out among `size`, counted without the code under test."""
    return [c for c in product(range(total + 1), repeat=size) if sum(c) == total]


def test_digits_come_back_in_reverse():
    digits = [(3, 5), (0, 1), (6, 7), (10**30, 10**31), (1, 2)]
    ranks = Ranks()
    for digit, radix in digits:
        ranks.push(digit, radix)
    payload = ranks.payload()
    assert payload.bits == (5 * 7 * 10**31 * 2 - 1).bit_length()
    back = Ranks(payload.data)
    assert [(back.pop(radix), radix) for _, radix in reversed(digits)] == digits[::-1]
    back.finish()


def test_nothing_is_no_bytes():
    assert Ranks().payload().data == b""
    ranks = Ranks()
    ranks.push_subset([], 9)
    ranks.push_subset(range(9), 9)
    ranks.push_composition(np.array([4]))
    ranks.push_composition(np.array([0, 0, 0]))
    assert (ranks.payload().data, ranks.payload().bits) == (b"", 0)


@pytest.mark.parametrize("digit", [-1, 5, 6])
def test_a_digit_out_of_range_is_refused(digit):
    with pytest.raises(ValueError, match=f"rank {digit} is not below 5"):
        Ranks().push(digit, 5)


# Exhaustively, for small sizes: what is written are different numbers, and of all byte strings
# those and only those are read.

SMALL_SETS = [(size, count) for size in range(1, 9) for count in range(size + 1)]
SMALL_LATTICES = [(size, total) for size in range(1, 5) for total in range(6)] + [(5, 3)]


def everything_read(read, sizes) -> dict[bytes, object]:
    """All byte strings of these sizes that are a message, and what they say."""
    found = {}
    for size in sizes:
        for number in range(256**size):
            data = number.to_bytes(size, "big")
            ranks = Ranks(data)
            message = read(ranks)
            try:
                ranks.finish()
            except PayloadError:
                continue
            found[data] = message
    return found


@pytest.mark.parametrize(("size", "count"), SMALL_SETS)
def test_every_small_set(size, count):
    written = {}
    for subset in combinations(range(size), count):
        ranks = Ranks()
        ranks.push_subset(subset, size)
        payload = ranks.payload()
        written[payload.data] = subset
        # On an empty stack the free choices have little to carry: up to log2 K bits are lost.
        few = max(1, min(count, size - count))
        assert 2**payload.bits >= comb(size, count) > 2 ** (payload.bits - 1) / (2 * few)
    assert len(written) == comb(size, count)
    (length,) = {len(data) for data in written}
    read = everything_read(
        lambda ranks: tuple(ranks.pop_subset(count, size).tolist()),
        {0, length, 1},
    )
    assert read == written


@pytest.mark.parametrize(("size", "total"), SMALL_LATTICES)
def test_every_small_composition(size, total):
    points = lattice_points(size, total)
    assert len(points) == comb(total + size - 1, size - 1)
    written = {}
    for counts in points:
        ranks = Ranks()
        ranks.push_composition(np.array(counts))
        written[ranks.payload().data] = counts
    assert len(written) == len(points)
    (length,) = {len(data) for data in written}
    read = everything_read(
        lambda ranks: tuple(ranks.pop_composition(size, total).tolist()),
        {0, length, 1},
    )
    assert read == written


@pytest.mark.parametrize(("size", "count"), [(6, 3), (9, 4), (5, 5), (12, 10)])
@pytest.mark.parametrize("below", [2**20 + 7, 3**200])
def test_every_set_on_a_stack_that_holds_something(size, count, below):
    """The number below bounds what the choices can carry: now C(N, K) is met to a bit."""
    payloads = set()
    for subset in combinations(range(size), count):
        ranks = Ranks()
        ranks.push(below // 2, below)
        ranks.push_subset(subset, size)
        payload = ranks.payload()
        payloads.add(payload.data)
        assert payload.bits <= (comb(size, count) * below).bit_length() + 1
        back = Ranks(payload.data)
        assert back.pop_subset(count, size).tolist() == list(subset)
        assert back.pop(below) == below // 2
        back.finish()
    assert len(payloads) == comb(size, count)


# Large ones.


@st.composite
def subsets(draw):
    size = draw(st.integers(1, 60_000))
    count = draw(st.integers(0, min(size, 1500)) | st.integers(max(0, size - 1500), size))
    seed = draw(st.integers(0, 2**32))
    shape = draw(st.sampled_from(["anywhere", "low", "high"]))
    rng = np.random.default_rng(seed)
    ids = {
        "anywhere": lambda: np.sort(rng.choice(size, count, replace=False)),
        "low": lambda: np.arange(count),
        "high": lambda: np.arange(size - count, size),
    }[shape]()
    return ids, size


@settings(max_examples=40, deadline=None)
@given(st.lists(subsets(), min_size=1, max_size=3))
def test_large_sets_one_upon_the_other(fields):
    ranks, bound = Ranks(), 0.0
    for ids, size in fields:
        ranks.push_subset(ids, size)
        bound += log2_comb(size, ids.size)
    payload = ranks.payload()
    few = max(1, *(min(ids.size, size - ids.size) for ids, size in fields))
    lost = 1.5 * log(few) / log(2) + 3 + len(fields)
    assert bound - 1e-6 <= payload.bits <= bound + lost
    back = Ranks(payload.data)
    for ids, size in reversed(fields):
        assert np.array_equal(back.pop_subset(ids.size, size), ids)
    back.finish()


@pytest.mark.parametrize("padding", range(0, 1200, 97))
def test_large_sets_with_small_fields_between(padding):
    """The part of the stack that is set aside is found again, whatever the stack's length."""
    rng = np.random.default_rng(padding)
    sets = [np.sort(rng.choice(5000, int(k), replace=False)) for k in rng.integers(200, 2400, 7)]
    ranks = Ranks()
    ranks.push(0, 1 << padding + 1)
    bound = padding + 1.0
    for ids in sets:
        ranks.push_subset(ids, 5000)
        ranks.push_composition(np.zeros(40, np.int64) + 3)
        ranks.push(ids.size, 5001)
        bound += log2_comb(5000, ids.size) + log2_comb(159, 39) + log(5001) / log(2)
    payload = ranks.payload()
    assert bound - 1e-6 <= payload.bits <= bound + 16 + len(sets)
    back = Ranks(payload.data)
    for ids in reversed(sets):
        assert back.pop(5001) == ids.size
        assert back.pop_composition(40, 120).tolist() == [3] * 40
        assert np.array_equal(back.pop_subset(ids.size, 5000), ids)
    assert back.pop(1 << padding + 1) == 0
    back.finish()


@pytest.mark.parametrize("digit", [0, -1])
def test_large_sets_on_digits_that_are_all_alike(digit):
    """The number itself may be far shorter than it could be."""
    ids = np.arange(3000) if digit == 0 else np.arange(5000 - 3000, 5000)
    for depth in (0, 100, 101, 130, 3000):
        ranks = Ranks()
        for _ in range(depth):
            ranks.push(digit % 1000, 1000)
        for _ in range(3):
            ranks.push_subset(ids, 5000)
        back = Ranks(ranks.payload().data)
        for _ in range(3):
            assert np.array_equal(back.pop_subset(3000, 5000), ids)
        assert all(back.pop(1000) == digit % 1000 for _ in range(depth))
        back.finish()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40) | st.integers(0, 5000) | st.just(0), min_size=1, max_size=600),
    st.integers(0, 2**64 - 1),
)
def test_large_compositions(counts, below):
    counts = np.array(counts)
    size, total = counts.size, int(counts.sum())
    ranks = Ranks()
    ranks.push(below, 2**64)
    ranks.push_composition(counts)
    payload = ranks.payload()
    bound = 64 + log2_comb(total + size - 1, size - 1)
    assert bound - 1e-6 <= payload.bits <= bound + 2
    back = Ranks(payload.data)
    got = back.pop_composition(size, total)
    assert np.array_equal(got, counts)
    assert back.pop(2**64) == below
    back.finish()


@pytest.mark.parametrize("count", [500, 5000, 24_000])
def test_a_stack_put_aside_costs_no_bits(monkeypatch, count):
    """Large sets are coded with most of the stack put aside; it is as short as without."""
    size = 49_152
    ids = np.sort(np.random.default_rng(count).choice(size, count, replace=False))

    def written():
        ranks = Ranks()
        ranks.push(count // 2, count)
        ranks.push_subset(ids, size)
        return ranks.payload()

    aside = sum(module._surplus(count, size))
    payload = written()
    back = Ranks(payload.data)
    assert np.array_equal(back.pop_subset(count, size), ids)
    monkeypatch.setattr(module, "_MANY", size)
    assert aside * module._BLOCK_BITS > payload.bits / 2 - 2 * module._BLOCK_BITS
    assert sum(module._surplus(count, size)) == 0
    assert abs(written().bits - payload.bits) <= 1


@settings(max_examples=100, deadline=None)
@given(subsets(), st.data())
def test_damage_is_refused_or_another_message(field, data):
    """Never an error of another kind, and never the message that was sent."""
    ids, size = field
    ranks = Ranks()
    ranks.push_subset(ids, size)
    sent = ranks.payload().data
    kind = data.draw(st.sampled_from(["cut", "longer", "other"]))
    if kind == "cut":
        got = sent[: data.draw(st.integers(0, max(0, len(sent) - 1)))]
    elif kind == "longer":
        got = data.draw(st.binary(min_size=1, max_size=9)) + sent
    else:
        got = data.draw(st.binary(min_size=len(sent), max_size=len(sent)))
    if got == sent:
        return
    back = Ranks(got)
    try:
        subset = back.pop_subset(ids.size, size)
        back.finish()
    except PayloadError:
        return
    again = Ranks()
    again.push_subset(subset, size)
    assert again.payload().data == got  # what is read is what a writer makes
    assert len(got) == len(sent)
    assert not np.array_equal(subset, ids)


def test_what_is_wrong_is_said():
    for data, said in [
        (b"\0\1", "payload of 2 bytes; such a message has 1"),
        (b"\xff", "rank out of range"),
    ]:
        back = Ranks(data)
        back.pop(200)
        with pytest.raises(PayloadError, match=said):
            back.finish()
