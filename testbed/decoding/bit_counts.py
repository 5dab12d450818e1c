"""Bits on the air per drafted token and per answer, as each paper's formula counts them.

Notation: V is the vocabulary's size, b_id = ⌈log2 V⌉ the bits of a token id, b_p the bits of one
probability, ℓ the lattice's denominator, K the number of tokens kept, γ the draft length. Headers
and framing belong to the codecs and the wire; these are the numbers to hold them against.
"""

from __future__ import annotations

import math
from functools import lru_cache


def require(allowed: bool, symbol: str, value: object, what: str) -> None:
    """Raise ValueError saying what `symbol` is and must be, unless `allowed`."""
    if not allowed:
        raise ValueError(f"{symbol} is {value}; it must be {what}")


def id_bits(choices: int) -> int:
    """Return ⌈log2 n⌉, to distinguish n choices: b_id of a vocabulary, the index in a support."""
    require(choices >= 1, "the number of choices", choices, "at least 1")
    return (choices - 1).bit_length()


def dsd_bits(vocabulary_size: int, probability_bits: int) -> int:
    """V·b_p: the whole of q for one drafted token, its id apart (DSD; DSSD, arXiv 2507.12000)."""
    _check(vocabulary_size, probability_bits=probability_bits)
    return vocabulary_size * probability_bits


def qs_bits(vocabulary_size: int, total: int) -> int:
    """⌈log2 C(ℓ+V-1, V-1)⌉: q̂ for one drafted token, its id apart (QS, arXiv 2507.00605)."""
    _check(vocabulary_size, total=total)
    return id_bits(_binomial(total + vocabulary_size - 1, total))


def k_sqs_bits(vocabulary_size: int, kept: int, total: int) -> float:
    """log2 C(V,K) + log2 C(ℓ+K-1, K-1): support and q̂, the id apart (K-SQS, arXiv 2510.09942).

    Not rounded up, as far as is known of the paper; the drawn token costs id_bits(K) more.
    """
    _check(vocabulary_size, kept=kept, total=total)
    return log2_binomial(vocabulary_size, kept) + log2_binomial(total + kept - 1, kept - 1)


def c_sqs_bits(vocabulary_size: int, kept: int, total: int) -> float:
    """As K-SQS with K = K_n, and ⌈log2 V⌉ to say what K_n is (C-SQS, arXiv 2510.09942)."""
    return k_sqs_bits(vocabulary_size, kept, total) + id_bits(vocabulary_size)


def tk_slt_bits(kept: int, probability_bits: int) -> int:
    """K·b_p: as billed by TK-SLT (arXiv 2509.04576), which lets ids and indices travel free."""
    require(kept >= 1, "K", kept, "at least 1")
    require(probability_bits >= 1, "b_p", probability_bits, "at least 1")
    return kept * probability_bits


def tk_slt_honest_bits(vocabulary_size: int, kept: int, probability_bits: int) -> int:
    """b_id + K·(b_p + b_id): the drawn token, K probabilities and the K ids they belong to."""
    _check(vocabulary_size, kept=kept, probability_bits=probability_bits)
    token = id_bits(vocabulary_size)
    return token + kept * (probability_bits + token)


def dssd_uplink_bits(vocabulary_size: int, probability_bits: int) -> int:
    """b_id + b_p: a drafted id and the probability it was drawn with (DSSD, arXiv 2507.12000)."""
    _check(vocabulary_size, probability_bits=probability_bits)
    return id_bits(vocabulary_size) + probability_bits


def dssd_downlink_bits(
    vocabulary_size: int, probability_bits: int, gamma: int, *, rejected: bool
) -> int:
    """Return an answer's bits in DSSD: which of γ + 1 ends it had, then p (V·b_p) or the bonus id.

    The paper bills V·b_p alone, and nothing for a round that is accepted whole.
    """
    _check(vocabulary_size, probability_bits=probability_bits, gamma=gamma)
    content = vocabulary_size * probability_bits if rejected else id_bits(vocabulary_size)
    return id_bits(gamma + 1) + content


def answer_bits(vocabulary_size: int, gamma: int) -> int:
    """⌈log2(γ+1)⌉ + b_id: how many drafts are accepted, and the token after them (all but DSSD)."""
    _check(vocabulary_size, gamma=gamma)
    return id_bits(gamma + 1) + id_bits(vocabulary_size)


def _check(
    vocabulary_size: int,
    *,
    kept: int = 1,
    total: int = 1,
    probability_bits: int = 1,
    gamma: int = 1,
) -> None:
    require(vocabulary_size >= 1, "V", vocabulary_size, "at least 1")
    require(1 <= kept <= vocabulary_size, "K", kept, f"from 1 to V = {vocabulary_size}")
    require(total >= 1, "ℓ", total, "at least 1")
    require(probability_bits >= 1, "b_p", probability_bits, "at least 1")
    require(gamma >= 1, "γ", gamma, "at least 1")


@lru_cache(maxsize=64)
def _binomial(n: int, k: int) -> int:
    return math.comb(n, k)


def log2_binomial(n: int, k: int) -> float:
    """log2 C(n, k), to some 1e-9: C(49152, 20000) itself takes 10 ms."""
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)
