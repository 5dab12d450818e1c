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
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from testbed.codecs.bits import Payload, PayloadError
from testbed.decoding.bit_counts import log2_binomial
from testbed.decoding.lattice import Ids

_WORD = 64
_BLOCK_BITS = 512
_MANY = 256
"""Ids from which on a subset is worth a schedule; see _surplus."""


class Ranks:
    """A message as one number."""

    def __init__(self, data: bytes = b"") -> None:
        """Empty to write into, or with `data` to read from."""
        self._data = data
        self._state = int.from_bytes(data, "big")
        # The state is below bound · 2^shift: two words give the number of bits exactly enough.
        self._bound = 1 << len(data) * 8 % _WORD
        self._shift = len(data) * 8 // _WORD * _WORD

    def push(self, digit: int, radix: int) -> None:
        """Put a digit from 0 to `radix` - 1 on the stack. Raises ValueError on any other."""
        if not 0 <= digit < radix:
            raise ValueError(f"rank {digit} is not below {radix}")
        self._state = self._state * radix + digit
        self._bound *= radix
        while self._bound >> 2 * _WORD:
            self._bound = (self._bound >> _WORD) + 1
            self._shift += _WORD

    def pop(self, radix: int) -> int:
        """Take the last digit off, from 0 to `radix` - 1."""
        self._state, digit = divmod(self._state, radix)
        while self._shift and self._bound >> _WORD < radix:
            self._bound <<= _WORD
            self._shift -= _WORD
        self._bound = (self._bound - 1) // radix + 1
        return digit

    def payload(self) -> Payload:
        """Return all that was written, in as many bits as distinguish all messages of this form."""
        bits = self._bits
        return Payload(self._state.to_bytes((bits + 7) // 8, "big"), bits)

    def finish(self, again: Ranks) -> None:
        """Raise PayloadError unless `again`, what was read written anew, is what came.

        Every number reads as some message; one that no writer makes does not come back.
        """
        written = again.payload().data
        if len(written) != len(self._data):
            raise PayloadError(
                f"payload of {len(self._data)} bytes; such a message has {len(written)}"
            )
        if written != self._data:
            raise PayloadError("rank out of range: no message has this number")

    def push_subset(self, subset: Ids | Sequence[int], size: int) -> None:
        """Put a set of ascending ids below `size` on the stack: log2 C(size, K) bits.

        On an empty stack some log2 K more (half as much again where K is about size / 2), because
        there is nothing for the order to carry. One more where the set is so large that the stack
        below it is put aside.
        """
        ids = np.asarray(subset, np.int64)
        rest: list[int] = (ids if 2 * ids.size <= size else _others(ids, size)).tolist()
        large = len(rest) >= _MANY
        below = _blocks(self._bits) if large else 0
        aside = [(self._cut(below), below)]
        for choices, blocks in zip(range(len(rest), 0, -1), _surplus(len(rest), size), strict=True):
            place = self.pop(choices)
            # Its rank among the ids that are not left in the set: `place` smaller ones are.
            self.push(rest.pop(place) - place, size - choices + 1)
            if blocks:
                aside.append((self._cut(blocks), blocks))
        while aside:
            self._paste(*aside.pop())
        if large:
            self.push(below % 2, 2)

    def pop_subset(self, count: int, size: int) -> Ids:
        """Take a set of `count` ids below `size` off, ascending."""
        few = min(count, size - count)
        below = self._pop_below(few, size) if few >= _MANY else 0
        surplus = _surplus(few, size)
        aside = [(self._cut(blocks), blocks) for blocks in [below, *surplus] if blocks]
        subset: list[int] = []
        for known, blocks in enumerate(reversed(surplus)):
            if blocks:
                self._paste(*aside.pop())
            rank = self.pop(size - known)
            place = _smaller(subset, rank)
            subset.insert(place, rank + place)
            self.push(place, known + 1)
        while aside:
            self._paste(*aside.pop())
        ids = np.array(subset, np.int64)
        return ids if 2 * count <= size else _others(ids, size)

    @property
    def _bits(self) -> int:
        """Length of the largest number that can be here."""
        return self._shift + (self._bound - 1).bit_length()

    def _cut(self, blocks: int) -> int:
        """Take some blocks off at once."""
        bits = blocks * _BLOCK_BITS
        value = self._state & ((1 << bits) - 1)
        self._state >>= bits
        if self._shift < bits:  # only where the message is none
            self._bound = (self._bound - 1 >> bits - self._shift) + 1
        self._shift = max(0, self._shift - bits)
        return value

    def _paste(self, value: int, blocks: int) -> None:
        """Put back what `_cut` took off."""
        self._state = self._state << blocks * _BLOCK_BITS | value
        self._shift += blocks * _BLOCK_BITS

    def _pop_below(self, few: int, size: int) -> int:
        """Read the number of blocks of the stack below a set that were put aside.

        The reader knows how long the stack was but for what is lost in rounding, up to a byte on
        the wire and log2 K on an empty stack, and never too little; so the last digit is enough.
        """
        odd = self.pop(2)
        blocks = _blocks(self._bits - math.floor(log2_binomial(size, few)) + 1)
        return max(0, blocks - (blocks % 2 != odd))

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
        return np.diff(bars, prepend=-1, append=length) - 1


def _blocks(bits: int) -> int:
    """Return the number of blocks of `bits` bits that can be put aside, with one or two left."""
    return max(0, bits // _BLOCK_BITS - 1)


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


def _smaller(subset: Sequence[int], rank: int) -> int:
    """Return the number of ids of `subset` below the id of this rank among all others."""
    low, high = 0, len(subset)
    while low < high:
        middle = (low + high) // 2
        if subset[middle] - middle <= rank:
            low = middle + 1
        else:
            high = middle
    return low


def _others(subset: Ids, size: int) -> Ids:
    """Return the ids below `size` that are not in `subset`."""
    mask = np.ones(size, np.bool_)
    mask[subset] = False
    return np.flatnonzero(mask)
