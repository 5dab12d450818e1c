"""A codec that may choose ℓ for every draft, and what the device can know of each ℓ beforehand."""

from __future__ import annotations

from itertools import cycle
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import PayloadError
from testbed.codecs.mixed import Mixed
from testbed.codecs.simplex import Simplex
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import quantise
from tests.codecs.payloads import drafted, drawn, fewest_bits, same_drafts
from tests.support.strategies import distributions

TOTALS = [[3], [2, 7], [1, 8, 100], [4, 24, 240, 720, 5000]]


def mixed(form, totals, v) -> Mixed:
    return Mixed([form(total, v) for total in totals])


def drafted_in_turn(codec, qs, totals):
    """Return a draft from each q, by one ℓ after the other."""
    return drawn([codec.quantise(q, total) for q, total in zip(qs, cycle(totals), strict=False)])


@settings(max_examples=200, deadline=None)
@given(
    q=distributions(),
    totals=st.sampled_from(TOTALS),
    form=st.sampled_from([Simplex, SparseLattice]),
    drafts=st.integers(0, 6),
)
def test_each_draft_arrives_with_its_own_resolution_in_as_few_bits_as_there_are(
    q, totals, form, drafts
):
    codec = mixed(form, totals, q.size)
    sent = drafted_in_turn(codec, [np.roll(q, n) for n in range(drafts)], totals)
    assert [draft.q.total for draft in sent] == (totals * 6)[:drafts]
    payload = codec.encode(sent)
    assert same_drafts(codec.decode(payload.data, drafts), sent)
    fewest = sum(
        log2(len(totals)) + fewest_bits(form(draft.q.total, q.size), draft.q) for draft in sent
    )
    assert fewest - 1e-6 <= payload.bits <= fewest + 8
    assert len(payload.data) == ceil(payload.bits / 8)


@settings(max_examples=100, deadline=None)
@given(q=distributions(60), form=st.sampled_from([Simplex, SparseLattice]), data=st.data())
def test_damage_is_refused_or_reads_as_another_message_that_could_have_been_sent(q, form, data):
    codec = mixed(form, [2, 7, 24], q.size)
    payload = codec.encode(drafted_in_turn(codec, [q, q, q], [2, 7, 24])).data
    with pytest.raises(PayloadError):
        codec.decode(b"\0" + payload, 3)
    if not payload:
        return
    flipped = bytearray(payload)
    flipped[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), payload[:-1], payload[1:], b"\1" + payload):
        try:
            read = codec.decode(damaged, 3)
        except PayloadError:
            continue
        assert codec.encode(read).data == damaged
        assert all(draft.probability > 0 for draft in read)


def test_a_resolution_that_the_reader_does_not_know_is_not_written():
    codec = mixed(SparseLattice, [2, 7], 10)
    strange = drafted(SparseLattice(5, 10), [np.full(10, 0.1)])
    with pytest.raises(ValueError, match="a lattice of 5 where both ends agreed on one of 2, 7"):
        codec.encode(strange)


def test_the_choice_is_in_the_formula():
    q = np.full(10, 0.1)
    for form in (Simplex, SparseLattice):
        codec = mixed(form, [2, 7, 24, 100], 10)
        (draft,) = drafted_in_turn(codec, [q], [2])
        assert codec.formula_bits(draft.q) == form(2, 10).formula_bits(draft.q) + 2


@settings(max_examples=300, deadline=None)
@given(q=distributions(), total=st.sampled_from([1, 2, 7, 24, 100, 5000]), levels=st.booleans())
def test_quantising_by_the_likeliest_tokens_is_quantising_by_all(q, total, levels):
    if levels:  # many ties, and probabilities that are exactly k / 16
        q = np.floor(q * 16) / 16
        q[int(q.argmax())] += 1 - q.sum()
    assert np.array_equal(quantise(q, total).counts, reznik(q, total))


def reznik(q, total):
    """Quantise as the published algorithm does, over the whole vocabulary, tie by tie."""
    counts = np.floor(q * total + 0.5).astype(int)
    missing = total - counts.sum()
    order = sorted(range(q.size), key=lambda i: (np.sign(missing) * (counts[i] - total * q[i]), i))
    for i in order[: abs(missing)]:
        counts[i] += np.sign(missing)
    return counts


@settings(max_examples=100, deadline=None)
@given(q=distributions(), total=st.sampled_from([1, 7, 100, 5000]))
def test_bits_are_known_before_the_draw(q, total):
    for form in (Simplex, SparseLattice):
        codec = form(total, q.size)
        (draft,) = drafted(codec, [q])
        told = codec.bits(int(np.count_nonzero(draft.q.counts)))
        assert told - 1e-6 <= codec.encode([draft]).bits <= told + 8
