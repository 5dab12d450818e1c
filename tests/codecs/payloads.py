"""Drafts and distributions for codecs, their payloads, and payloads that went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma, log, log2

import numpy as np
from hypothesis import strategies as st

from testbed.codecs.base import Drawn
from testbed.codecs.bits import BitReader, BitWriter, Payload
from testbed.codecs.simplex import Simplex
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import KeyedRandomness


def distribution(v: int, seed: int, spread: float = 3, zeros: float = 0.0) -> np.ndarray:
    """Of normal logits; about a part of `zeros` of the tokens is impossible."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(scale=spread, size=v))
    x[(rng.random(v) < zeros) & (x < x.max())] = 0
    return x / x.sum()


def written(codec, lattice: Lattice) -> Payload:
    """Return a payload of one distribution and nothing else."""
    writer = BitWriter()
    codec.write(writer, lattice)
    return writer.payload()


def read(codec, data: bytes, v: int) -> Lattice:
    """Return the only distribution of a payload."""
    reader = BitReader(data)
    got = codec.read(reader, v)
    reader.finish()
    return got


def drafted(codec, qs, seed: int = 1) -> list[Drawn]:
    """Return a draft from each q, as a device makes it."""
    return drawn([codec.quantise(q) for q in qs], seed)


def drawn(lattices: Sequence[Lattice], seed: int = 1) -> list[Drawn]:
    """Return a draft from each q̂."""
    random = KeyedRandomness(seed, 0, "test")
    return [Drawn(q.draw(random, "draft", n), q) for n, q in enumerate(lattices)]


def same(a: Lattice, b: Lattice) -> bool:
    return (
        a.total == b.total
        and a.vocabulary_size == b.vocabulary_size
        and np.array_equal(a.support, b.support)
        and np.array_equal(a.counts, b.counts)
    )


def same_drafts(a: Sequence[Drawn], b: Sequence[Drawn]) -> bool:
    return [each.token for each in a] == [each.token for each in b] and all(
        same(x.q, y.q) for x, y in zip(a, b, strict=True)
    )


def log2_comb(n: int, k: int) -> float:
    """log2 C(n, k), by another way than the code under test."""
    return (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / log(2)


def fewest_bits(codec, q: Lattice) -> float:
    """log2 of how many messages of one draft there are, given what the message tells first."""
    v, total, k = codec.vocabulary_size, codec.total, q.support.size
    if isinstance(codec, Simplex):
        return log2_comb(total + v - 1, v - 1) + log2(v)
    if isinstance(codec, SparseLattice):
        m = int(np.count_nonzero(q.counts))
        sizes = log2(min(total, v))
        return sizes + log2_comb(v, m) + log2_comb(total - 1, m - 1) + log2(m)
    size = 0 if codec._size else log2(v)
    return size + log2_comb(v, k) + log2_comb(total + k - 1, k - 1) + log2(k)


def damaged(good: bytes, data: st.DataObject) -> list[bytes]:
    """Return data with a byte too few, with a byte too many, and with one byte changed."""
    if not good:
        return [b"\0"]
    flipped = bytearray(good)
    flipped[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    return [good[:-1], good + b"\0", bytes(flipped)]
