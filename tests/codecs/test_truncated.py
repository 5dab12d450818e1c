"""Truncated distributions: exact on both ends, no bit too many, and damage is refused."""

from __future__ import annotations

from math import ceil, comb, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.base import Drawn
from testbed.codecs.bits import BitWriter, PayloadError, width
from testbed.codecs.truncated import Truncated
from testbed.decoding.lattice import Lattice
from tests.codecs.payloads import damaged, distribution, drafted, same_drafts

B_P = {"fp16": 16, "int8": 8}


def drawn(codec: Truncated, v: int, drafts: int, seed: int, *law: float):
    return drafted(codec, [distribution(v, seed + i, *law) for i in range(drafts)], seed)


@st.composite
def codecs(draw):
    v = draw(st.integers(1, 300))
    kept = draw(
        st.fixed_dictionaries({"top_k": st.integers(1, v)})
        | st.fixed_dictionaries({"top_p": st.floats(0.01, 1)})
    )
    options = {
        **kept,
        "values": draw(st.sampled_from(["fp16", "int8"])),
        "index": draw(st.sampled_from(["plain", "ranked"])),
    }
    return v, options, Truncated(v, **options)


messages = st.tuples(
    codecs(),
    st.integers(0, 4),  # drafts
    st.integers(0, 10**6),  # seed
    st.floats(0, 12),  # spread
    st.sampled_from([0, 0.5, 0.95]),  # share of zeros
)


@settings(deadline=None, max_examples=200)
@given(messages)
def test_drafts_arrive_as_they_were_in_as_many_bits_as_said(message):
    (v, options, codec), *rest = message
    drafts = drawn(codec, v, *rest)
    payload = codec.encode(drafts)
    assert same_drafts(codec.decode(payload.data, len(drafts)), drafts)

    most, b_p = options.get("top_k", v), B_P[options["values"]]
    sizes = [draft.q.support.size for draft in drafts]
    assert len(payload.data) == ceil(payload.bits / 8)
    if options["index"] == "plain":
        wanted = sum(width(most) + n * (b_p + width(v)) + width(n) for n in sizes)
        assert payload.bits == wanted
    else:
        bound = sum(log2(most) + n * b_p + log2(comb(v, n)) + log2(n) for n in sizes)
        assert bound - 1e-6 <= payload.bits <= bound + 8
    b_id = width(v)
    assert [codec.formula_bits(draft.q) for draft in drafts] == [
        b_id + n * (b_p + b_id) for n in sizes
    ]


@settings(deadline=None, max_examples=200)
@given(messages, st.data())
def test_damage_is_refused_or_is_another_message(message, data):
    """Whatever decodes is what encode would have written."""
    (v, options, codec), *rest = message
    drafts = drawn(codec, v, *rest)
    good = codec.encode(drafts).data
    for wrong in damaged(good, data):
        try:
            got = codec.decode(wrong, len(drafts))
        except PayloadError:
            continue
        # A rank of another length may be a message with another n; plain fields cannot.
        assert len(wrong) == len(good) or options["index"] == "ranked"
        assert codec.encode(got).data == wrong


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 300), st.integers(0, 99), st.floats(0, 12))
def test_fp16_sends_the_renormalised_q_rounded_and_normalises_after_that(v, seed, spread):
    q = distribution(v, seed, spread)
    k = v // 2
    q_hat = Truncated(v, top_k=k).quantise(q)
    kept = np.argsort(-q, kind="stable")[:k]
    rounded = (q[kept] / q[kept].sum()).astype(np.float16).astype(float)
    wanted = np.zeros(v)
    wanted[kept] = rounded / rounded.sum()
    assert q_hat.probabilities == pytest.approx(wanted, abs=1e-15)
    assert (q_hat.counts > 0).all()
    dropped = 1 - q[kept].sum()
    assert 0.5 * abs(q_hat.probabilities - q).sum() <= dropped + 2**-10 + v * 2**-24


def test_int8_is_proportional_to_q_with_the_likeliest_at_255():
    q = np.array([0.5, 0.25, 0.2, 0.0495, 0.0005])
    q_hat = Truncated(5, top_k=5, values="int8").quantise(q)
    assert q_hat.support.tolist() == [0, 1, 2, 3]  # 0.0005 is less than 0.5 / 510
    assert q_hat.counts.tolist() == [255, 128, 102, 25]
    assert q_hat.total == 510


@pytest.mark.parametrize("values", B_P)
@pytest.mark.parametrize("kept", [{"top_k": 4}, {"top_p": 0.999}])
def test_a_token_that_has_no_value_is_not_kept(values, kept):
    """q of a filtered sampler, and a value that rounds to 0: neither is sent, or drawn."""
    codec = Truncated(6, values=values, **kept)
    assert codec.quantise(np.array([0, 0, 1.0, 0, 0, 0])).support.tolist() == [2]
    tiny = 1e-9
    q_hat = codec.quantise(np.array([tiny, 0, 0.6, 0, 0, 0.4 - tiny]))
    assert q_hat.support.tolist() == [2, 5]


def test_ties_go_to_the_lowest_id():
    assert Truncated(5, top_k=2).quantise(np.full(5, 0.2)).support.tolist() == [0, 1]


def test_the_fields_stand_where_they_are_said_to():
    """n - 1 below K, the values, the ids, and then the index of the drawn token."""
    codec = Truncated(6, top_k=3, values="int8")
    q = Lattice(np.array([255, 2]), 257, np.array([1, 4]), 6)
    payload = codec.encode([Drawn(4, q)])
    assert payload.bits == 2 + 2 * (8 + 3) + 1
    bits = f"{int.from_bytes(payload.data, 'big'):032b}"
    assert bits[: payload.bits] == "01" + "11111111" + "00000010" + "001" + "100" + "1"


def message(*fields: tuple[int, int]) -> bytes:
    writer = BitWriter()
    for value, bits in fields:
        writer.write(value, bits)
    return writer.payload().data


HALF = 0x3800  # 0.5 in fp16


@pytest.mark.parametrize(
    ("values", "fields", "error"),
    [
        ("int8", [(3, 2)], "number of kept tokens, less one, arrived as 3; it must be below 3"),
        (
            "int8",
            [(1, 2), (255, 8), (0, 8), (1, 3), (4, 3), (0, 1)],
            "values arrived with a 0",
        ),
        ("int8", [(1, 2), (254, 8), (9, 8), (1, 3), (4, 3), (0, 1)], "or without their top 255"),
        ("int8", [(1, 2), (255, 8), (1, 8), (4, 3), (1, 3), (0, 1)], "ascending ids below 6"),
        ("int8", [(1, 2), (255, 8), (1, 8), (4, 3), (4, 3), (0, 1)], "ascending ids below 6"),
        ("int8", [(1, 2), (255, 8), (1, 8), (4, 3), (6, 3), (0, 1)], "ascending ids below 6"),
        (
            "int8",
            [(2, 2), (255, 8), (1, 8), (1, 8), (0, 3), (1, 3), (2, 3), (3, 2)],
            "the place of a drafted token arrived as 3; it must be below 3",
        ),
        ("fp16", [(1, 2), (HALF, 16), (0, 16), (1, 3), (4, 3), (0, 1)], "above 0 with a sum"),
        ("fp16", [(1, 2), (HALF, 16), (HALF + 8, 16), (1, 3), (4, 3), (0, 1)], "a sum of about 1"),
        ("fp16", [(1, 2), (HALF, 16), (0xB800, 16), (1, 3), (4, 3), (0, 1)], "above 0 with a sum"),
        ("fp16", [(1, 2), (HALF, 16), (0x7C00, 16), (1, 3), (4, 3), (0, 1)], "a sum of about 1"),
        ("fp16", [(1, 2), (HALF, 16), (0x7E00, 16), (1, 3), (4, 3), (0, 1)], "above 0 with a sum"),
    ],
)
def test_what_encode_cannot_have_written_is_refused(values, fields, error):
    codec = Truncated(6, top_k=3, values=values)
    with pytest.raises(PayloadError, match=error):
        codec.decode(message(*fields), 1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "one of top_k and top_p must be given, and not both"),
        ({"top_k": 3, "top_p": 0.5}, "one of top_k and top_p must be given, and not both"),
        ({"top_k": 0}, "top_k is 0; it must be from 1 to the vocabulary's 6"),
        ({"top_k": 7}, "top_k is 7; it must be from 1 to the vocabulary's 6"),
    ],
)
def test_bad_options_are_refused(options, error):
    with pytest.raises(ValueError, match=error):
        Truncated(6, **options)
