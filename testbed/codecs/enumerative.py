"""Enumerative coding: one number for a whole message, within a few bits of log2 of all messages.

The number is a stack of digits: `push` puts a digit of any radix on it, `pop` takes one off. What
is written last is read first, so an encoder pushes its fields from the last to the first.

A set of K out of N ids has C(N, K) values, far fewer than K ids one by one. Their order is what is
free, and free choices can carry what is on the stack already: the encoder *pops* which of the ids
left comes next, and pushes that id; the decoder, which learns the order, pushes the choice back. In
all that is log2 C(N, K), exactly but for the rounding while the stack is nearly empty (bits back
from order: Severo et al., arXiv 2107.09202). The lexicographic rank of the textbooks takes K large
binomials, twenty times as long, for the same number of bits. Time is in proportion to K, some 4 µs
per id to write and read it, and to the length of the stack where a set is small.

What rounding adds to log2 of all messages of 1 to 8 drafts, at V = 49,152: 1.5 to 2.4 bits for
K-SQS (K = 64, ℓ = 100), 0.9 to 3.0 for C-SQS, 0.3 to 2.5 for QS (ℓ = 240), and 1.0 to 1.5 *a
draft* for TSLT (K = 320). The most seen of any message, made up for the purpose, is 8.0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from testbed.codecs.bits import Payload, PayloadError
from testbed.decoding.bit_counts import log2_binomial
from testbed.decoding.lattice import Ids

_WORD = 64
_BLOCK_BITS = 512
_MANY = 256
"""Ids from which on a subset is worth a schedule; see _surplus."""
_ROUNDING = 64
"""Bits; more than a draft loses in the rounding of its fields."""
_OUT_OF_RANGE = "rank out of range: no message has this number"
_FORMS = 4096
"""Forms of sets whose limits are kept."""


class _Limit(NamedTuple):
    """A number that the stack is below: bound · 2^shift. Two words give its bits exactly enough.

    It depends on the radices alone, not on the digits, so that messages of one form share it.
    """

    bound: int
    shift: int

    @property
    def bits(self) -> int:
        """Length of the largest number below it."""
        return self.shift + (self.bound - 1).bit_length()

    def pushed(self, radix: int) -> _Limit:
        """Return the limit once a digit is on the stack."""
        bound, shift = self.bound * radix, self.shift
        while bound >> 2 * _WORD:
            bound = (bound >> _WORD) + 1
            shift += _WORD
        return _Limit(bound, shift)

    def popped(self, radix: int) -> _Limit:
        """Return the limit once a digit is taken off."""
        bound, shift = self
        while shift and bound >> _WORD < radix:
            bound <<= _WORD
            shift -= _WORD
        return _Limit((bound - 1) // radix + 1, shift)

    def cut(self, blocks: int) -> _Limit:
        """Return the limit once some blocks are taken off at once."""
        bits = blocks * _BLOCK_BITS
        if self.shift < bits:  # only where the message is none
            return _Limit((self.bound - 1 >> bits - self.shift) + 1, 0)
        return _Limit(self.bound, self.shift - bits)

    def pasted(self, blocks: int) -> _Limit:
        """Return the limit once some blocks are put back."""
        return _Limit(self.bound, self.shift + blocks * _BLOCK_BITS)


_Field: TypeAlias = int | tuple[int, int, int]
"""A digit that was taken off, by its radix, or a set, by its ids, their limit and blocks below."""


class Ranks:
    """A message as one number."""

    def __init__(self, data: bytes = b"") -> None:
        """Empty to write into, or with `data` to read from."""
        self._data = data
        self._state = int.from_bytes(data, "big")
        bits = len(data) * 8
        self._limit = _Limit(1 << bits % _WORD, bits // _WORD * _WORD)
        self._taken: list[_Field] = []

    def push(self, digit: int, radix: int) -> None:
        """Put a digit from 0 to `radix` - 1 on the stack. Raises ValueError on any other."""
        if not 0 <= digit < radix:
            raise ValueError(f"rank {digit} is not below {radix}")
        self._state = self._state * radix + digit
        self._limit = self._limit.pushed(radix)

    def pop(self, radix: int) -> int:
        """Take the last digit off, from 0 to `radix` - 1."""
        self._state, digit = divmod(self._state, radix)
        self._limit = self._limit.popped(radix)
        self._taken.append(radix)
        return digit

    def payload(self) -> Payload:
        """Return all that was written, in as many bits as distinguish all messages of this form."""
        bits = self._limit.bits
        return Payload(self._state.to_bytes((bits + 7) // 8, "big"), bits)

    def finish(self) -> None:
        """Raise PayloadError unless a writer makes this of what was read.

        Every number reads as some message, and each field is put back by writing what was read from
        it. So it is a writer's number if nothing is left of it, it has the length of such a
        message, and the parts put aside are those that a writer puts aside.
        """
        limit, alike = _Limit(1, 0), True
        for field in reversed(self._taken):
            if isinstance(field, int):
                limit = limit.pushed(field)
            else:
                few, size, below = field
                alike &= below == (_blocks(limit.bits) if few >= _MANY else 0)
                limit = _after_push(limit, few, size, below)
        length = (limit.bits + 7) // 8
        if length != len(self._data):
            raise PayloadError(f"payload of {len(self._data)} bytes; such a message has {length}")
        if self._state or not alike:
            raise PayloadError(_OUT_OF_RANGE)

    def push_subset(self, subset: Ids | Sequence[int], size: int) -> None:
        """Put a set of ascending ids below `size` on the stack: log2 C(size, K) bits.

        On an empty stack some log2 K more (half as much again where K is about size / 2), because
        there is nothing for the order to carry. One more where the set is so large that the stack
        below it is put aside. Raises ValueError on other ids.
        """
        ids = np.asarray(subset, np.int64)
        if ids.size and (ids[0] < 0 or ids[-1] >= size or (ids[1:] <= ids[:-1]).any()):
            raise ValueError(f"a set whose ids are not ascending from 0 to {size - 1}")
        rest: list[int] = (ids if 2 * ids.size <= size else _others(ids, size)).tolist()
        few = len(rest)
        below = _blocks(self._limit.bits) if few >= _MANY else 0
        self._limit = _after_push(self._limit, few, size, below)
        state, cut = _cut(self._state, below)
        aside = [(cut, below)]
        for choices, blocks in zip(range(few, 0, -1), _surplus(few, size), strict=True):
            state, place = divmod(state, choices)
            # Its rank among the ids that are not left in the set: `place` smaller ones are.
            state = state * (size - choices + 1) + rest.pop(place) - place
            if blocks:
                state, cut = _cut(state, blocks)
                aside.append((cut, blocks))
        while aside:
            state = _paste(state, *aside.pop())
        self._state = state
        if few >= _MANY:
            self.push(below % 2, 2)

    def pop_subset(self, count: int, size: int) -> Ids:
        """Take a set of `count` ids below `size` off, ascending.

        Raises PayloadError where a writer leaves no such set.
        """
        few = min(count, size - count)
        below = self._pop_below(few, size) if few >= _MANY else 0
        self._limit = _after_pop(self._limit, few, size, below)
        self._taken.append((few, size, below))
        surplus = _surplus(few, size)
        state, aside = self._state, []
        for blocks in [below, *surplus]:
            if blocks:
                state, cut = _cut(state, blocks)
                aside.append((cut, blocks))
        subset: list[int] = []
        for known, blocks in enumerate(reversed(surplus)):
            if blocks:
                state = _paste(state, *aside.pop())
            state, rank = divmod(state, size - known)
            # As many ids of the subset are below the one of this rank among all others.
            place = bisect_right(subset, rank)
            while (more := bisect_right(subset, rank + place, place)) > place:
                place = more
            subset.insert(place, rank + place)
            state = state * (known + 1) + place
        while aside:
            state = _paste(state, *aside.pop())
        self._state = state
        ids = np.array(subset, np.int64)
        return ids if 2 * count <= size else _others(ids, size)

    def _pop_below(self, few: int, size: int) -> int:
        """Read the number of blocks of the stack below a set that were put aside.

        The reader knows how long the stack was but for what is lost in rounding, up to a byte on
        the wire and log2 K on an empty stack, and never too little; so the last digit is enough.
        """
        odd = self.pop(2)
        blocks = _blocks(self._limit.bits - math.floor(log2_binomial(size, few)) + 1)
        below = blocks - (blocks % 2 != odd)
        if below < 0:
            raise PayloadError(_OUT_OF_RANGE)
        return below

    def push_composition(self, counts: NDArray[np.int64]) -> None:
        """Put counts, shape [K], whose number and sum ℓ the reader knows, on the stack.

        log2 C(ℓ + K - 1, K - 1) bits: a row of ℓ stars and K - 1 bars; the fewer are named.
        """
        size, total = counts.size, int(counts.sum())
        if total < size:
            marks = np.repeat(np.arange(size), counts) + np.arange(total)
        else:
            marks = np.cumsum(counts[:-1] + 1) - 1
        self.push_subset(marks, total + size - 1)

    def pop_composition(self, size: int, total: int) -> NDArray[np.int64]:
        """Take `size` counts off that sum to `total`."""
        length = total + size - 1
        if total < size:
            stars = self.pop_subset(total, length)
            return np.bincount(stars - np.arange(total), minlength=size)
        bars = self.pop_subset(size - 1, length)
        edges = np.empty(size + 1, np.int64)
        edges[0], edges[1:-1], edges[-1] = -1, bars, length
        return edges[1:] - edges[:-1] - 1


def received(data: bytes, drafts: int, most: int) -> Ranks:
    """Return a message to read `drafts` drafts from, each of `most` bits at most.

    Raises PayloadError when it is longer: the time to find out otherwise grows with its length and
    with what it says.
    """
    if len(data) * 8 > drafts * (most + _ROUNDING) + 8:
        raise PayloadError(f"payload of {len(data)} bytes is longer than {drafts} drafts are")
    return Ranks(data)


def _blocks(bits: int) -> int:
    """Return the number of blocks of `bits` bits that can be put aside, with one or two left."""
    return max(0, bits // _BLOCK_BITS - 1)


def _cut(state: int, blocks: int) -> tuple[int, int]:
    """Return what is left of a number, and the blocks taken off it."""
    bits = blocks * _BLOCK_BITS
    return state >> bits, state & ((1 << bits) - 1)


def _paste(state: int, value: int, blocks: int) -> int:
    """Put back what `_cut` took off."""
    return state << blocks * _BLOCK_BITS | value


@lru_cache(_FORMS)
def _after_push(limit: _Limit, few: int, size: int, below: int) -> _Limit:
    """Return the limit once the `few` ids of a set are on the stack."""
    limit = limit.cut(below)
    surplus = _surplus(few, size)
    for choices, blocks in zip(range(few, 0, -1), surplus, strict=True):
        limit = limit.popped(choices).pushed(size - choices + 1).cut(blocks)
    return limit.pasted(sum(surplus) + below)


@lru_cache(_FORMS)
def _after_pop(limit: _Limit, few: int, size: int, below: int) -> _Limit:
    """Return the limit once the `few` ids of a set are taken off."""
    surplus = _surplus(few, size)
    for blocks in (below, *surplus):
        limit = limit.cut(blocks)
    for known, blocks in enumerate(reversed(surplus)):
        limit = limit.pasted(blocks).popped(size - known).pushed(known + 1)
    return limit.pasted(below)


def _surplus(count: int, size: int) -> list[int]:
    """Return, for each id of a set, the number of blocks of the ids before it to put aside then.

    Arithmetic on a number takes time in proportion to its length, and so a set of K ids time in
    proportion to K²; not so when most of the number is put aside meanwhile. Any schedule that both
    ends share is lossless, and it costs no bits as long as a block is left.
    """
    if count < _MANY:
        return [0] * count
    left = np.arange(count, 0, -1)
    # In 1/256 bits: integers, so that the last digit of a machine's logarithm does not matter.
    pushed, popped = (np.rint(256 * np.log2(each)) for each in (size - left + 1, left))
    bits = np.cumsum(pushed - popped).astype(np.int64) // 256
    blocks = np.maximum.accumulate(np.maximum(bits // _BLOCK_BITS - 1, 0))
    schedule: list[int] = np.diff(blocks, prepend=0).tolist()
    return schedule


def _others(subset: Ids, size: int) -> Ids:
    """Return the ids below `size` that are not in `subset`."""
    mask = np.ones(size, np.bool_)
    mask[subset] = False
    return np.flatnonzero(mask)
