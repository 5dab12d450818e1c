"""A pair of models without weights, whose acceptance rate is known exactly.

The target's next-token law p is Zipf-like (weight k^-1.5 at rank k) over an affine permutation
of the ids. The draft's is the mixture q = (1 − λ) p + λ r with another law r, where

    Σ min(p, q) = 1 − λ TV(p, r),  so that  λ = (1 − α) / TV(p, r)  gives  Σ min(p, q) = α.

A keyed hash of the last two tokens rotates the ids of p and q together, so that every context
has its own pair of laws and the same α. It holds for the distributions as they are: temperature,
top-k and top-p change it.

`acceptance` may also be several α. Each context then has one of them, by another hash, and the mean
over contexts is their mean. So that the draft's own uncertainty tells which, the laws differ in
sharpness, too: where the i-th α holds, counted from 0, p has weight k^-(1.5 + i/2) at rank k. The
first is the least certain, and is exactly what that α alone would be.

At temperature 0 only the likeliest tokens count, and with most α those of p and q are the same in
every context. Real pairs differ there, too: `greedy_acceptance` is the share of contexts in which
they are the same, by another hash. In the others r is all on the second likeliest token of p, which
makes it the likeliest of q; α stays what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError
from testbed.models.base import Logits
from testbed.models.checks import check_extension, check_rollback
from testbed.models.spec import Role

Probabilities = NDArray[np.float64]

_CONTEXT_LENGTH = 1 << 20
_START = (-1, -1)  # what stands before the first token


class SyntheticModel:
    """Target or draft of the pair given by (V, α or several, seed, greedy acceptance); the same
    everywhere.

    Raises TestbedError when V < 2, no α is given, or no draft can have the acceptance rates.
    """

    def __init__(
        self,
        vocabulary_size: int,
        acceptance: float | Sequence[float],
        seed: int,
        role: Role,
        *,
        name: str = "synthetic",
        greedy_acceptance: float | None = None,
    ) -> None:
        self.name = name
        if vocabulary_size < 2:
            raise TestbedError(
                f"Model '{name}' has vocabulary_size {vocabulary_size}; at least 2 is allowed."
            )
        self._vocabulary_size = vocabulary_size
        self._key = str(seed).encode()
        each = acceptance if isinstance(acceptance, Sequence) else [acceptance]
        if not each:
            raise TestbedError(
                f"Model '{name}' has an empty list of acceptances; give at least one."
            )
        self._greedy_acceptance = greedy_acceptance
        self._log_laws = [self._laws_at(alpha, place, role) for place, alpha in enumerate(each)]

    def _laws_at(self, acceptance: float, place: int, role: Role) -> list[Logits]:
        """Log-laws before any rotation: that of all contexts or, with a greedy acceptance, that of
        the contexts in which the likeliest tokens are the same, and that of the others."""
        p = target_law(self._vocabulary_size, self._key, place)
        if not p.min() < acceptance <= 1:  # Σ min(p, q) >= min p for every q
            raise TestbedError(
                f"Model '{self.name}' has acceptance {acceptance}; with vocabulary_size "
                f"{self._vocabulary_size} it may be above {p.min():.2g} and up to 1."
            )
        drafts = [draft_law(p, acceptance, self._key)]
        if self._greedy_acceptance is not None:
            drafts.append(misled_law(p, acceptance))
            most, least = (int(q.argmax() == p.argmax()) for q in drafts)
            if not least <= self._greedy_acceptance <= most:
                raise TestbedError(
                    f"Model '{self.name}' has greedy_acceptance {self._greedy_acceptance}; with "
                    f"acceptance {acceptance} allowed is {least} to {most}."
                )
        return [_log_twice(p if role == "target" else q) for q in drafts]

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self._vocabulary_size

    @property
    def vocabulary_id(self) -> str:
        """Names V: ids stand for nothing but themselves."""
        return f"synthetic-{self._vocabulary_size}"

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return _CONTEXT_LENGTH

    @property
    def end_tokens(self) -> frozenset[int]:
        """None: a synthetic text ends only at the requested length."""
        return frozenset()

    def session(self) -> SyntheticSession:
        """Start an empty text."""
        return SyntheticSession(self)

    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Nothing to pay: the first call costs what every call does."""

    def encode(self, text: str) -> list[int]:
        """The text's UTF-8 bytes, each mod V."""
        return [byte % self._vocabulary_size for byte in text.encode()]

    def encode_chat(self, prompt: str) -> list[int]:
        """Refused: there is no chat with a synthetic model."""
        raise TestbedError(f"Model '{self.name}' has no chat template; leave chat out.")

    def decode(self, tokens: Sequence[int]) -> str:
        """The ids themselves: ⟨17⟩⟨3⟩."""
        return "".join(f"⟨{token}⟩" for token in tokens)

    def next_logits(self, context: tuple[int, int]) -> Logits:
        """Log-probabilities of the token after `context`, the last two tokens; shape [V]."""
        shift = _hash(self._key, "context", *context) % self._vocabulary_size
        place = 0
        if len(self._log_laws) > 1:
            place = _hash(self._key, "shape", *context) % len(self._log_laws)
        greedy = self._greedy_acceptance
        apart = greedy is not None and _hash(self._key, "greedy", *context) >= greedy * 2**64
        return self._log_laws[place][apart][shift : shift + self._vocabulary_size]


class SyntheticSession:
    """One text; its cache is the list of its tokens."""

    def __init__(self, model: SyntheticModel) -> None:
        self._model = model
        self._tokens: list[int] = []

    @property
    def length(self) -> int:
        """Number of tokens read."""
        return len(self._tokens)

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        """See ModelSession.extend; the logits are log-probabilities."""
        rows = check_extension(self._model, self.length, tokens, keep)
        self._tokens.extend(tokens)
        text = [*_START, *self._tokens[-rows - 1 :]]
        contexts = zip(text[-rows - 1 : -1], text[-rows:], strict=True)
        return np.stack([self._model.next_logits(context) for context in contexts])

    def rollback(self, length: int) -> None:
        """See ModelSession.rollback."""
        check_rollback(self.length, length)
        del self._tokens[length:]


def target_law(vocabulary_size: int, key: bytes, place: int = 0) -> Probabilities:
    """p where the α at this place of the list holds, before any rotation; float64 [V]."""
    ranks = np.arange(1, vocabulary_size + 1, dtype=np.float64)
    # k^-(1.5 + i/2), in operations that round alike on all machines.
    weights = ranks * np.sqrt(ranks)
    for _ in range(place):
        weights *= np.sqrt(ranks)
    law = 1 / weights
    return _permuted(law / law.sum(), key, "target")


def draft_law(p: Probabilities, acceptance: float, key: bytes) -> Probabilities:
    """q with Σ min(p, q) = acceptance, float64 [V].

    The wrong guesses r are p's law permuted; where that differs too little from p, p's ranks
    reversed; where even that does, p's least likely id, which differs most of all laws.
    """
    reversed_ranks = np.empty_like(p)
    reversed_ranks[np.argsort(p)] = np.sort(p)[::-1]
    least_likely = np.eye(1, p.size, int(p.argmin()))[0]
    for r in (_permuted(p, key, "draft"), reversed_ranks, least_likely):
        distance = float(np.abs(p - r).sum() / 2)
        if distance > 1 - acceptance:
            break
    mix = (1 - acceptance) / distance
    return (1 - mix) * p + mix * r


def misled_law(p: Probabilities, acceptance: float) -> Probabilities:
    """q with Σ min(p, q) = acceptance whose wrong guesses are all p's second likeliest token."""
    second = int(np.argsort(p)[-2])
    mix = (1 - acceptance) / (1 - p[second])
    q: Probabilities = (1 - mix) * p
    q[second] += mix
    return q


def _log_twice(law: Probabilities) -> Logits:
    """Log-probabilities, twice over, so that every rotation is a slice."""
    twice: Logits = np.log(np.concatenate([law, law])).astype(np.float32)
    return twice


def _permuted(law: Probabilities, key: bytes, label: str) -> Probabilities:
    """`law` over the affine permutation id -> a·id + b mod V."""
    size = law.size
    a = 1 + _hash(key, label, 0) % (size - 1)
    while gcd(a, size) != 1:
        a += 1
    b = _hash(key, label, 1) % size
    return law[(a * np.arange(size) + b) % size]


def _hash(key: bytes, label: str, *numbers: int) -> int:
    """64 bits that depend on nothing but the arguments (Python's own hash differs per process)."""
    text = f"{label}{numbers}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "big")
