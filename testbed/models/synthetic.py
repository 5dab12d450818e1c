"""A pair of models without weights, whose acceptance rate is known exactly.

The target's next-token distribution p is Zipf-like (weight k^-1.5 at rank k) over an affine
permutation of the ids. The draft's is the mixture q = (1 − λ) p + λ r with another distribution r,
where

    Σ min(p, q) = 1 − λ TV(p, r),  so that  λ = (1 − α) / TV(p, r)  gives  Σ min(p, q) = α.

A keyed hash of the last two tokens rotates the ids of p and q together, so that every context
has its own pair of distributions and the same α. This α holds for the distributions as they are;
temperature, top-k and top-p change it.

`acceptance` may also be a list of α. A second hash then gives each context one of them, and the
acceptance rate over all contexts is their mean. The distributions of each α differ in sharpness, so
that the draft's uncertainty reveals which α a context has: for the i-th α, counted from 0, p has
weight k^-(1.5 + i/2) at rank k. The first is the flattest, and equals what its α alone would give.

At temperature 0 only the likeliest tokens count, and with most α those of p and q are the same in
every context. In real pairs they sometimes differ. `greedy_acceptance` is the share of contexts, by
a third hash, in which they are the same. In the others, r is the second likeliest token of p with
probability 1, which makes it the likeliest token of q; α stays the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.errors import TestbedError
from testbed.models.base import Logits, Model, ModelSession
from testbed.models.checks import check_extension, check_rollback
from testbed.models.spec import Role

Probabilities = NDArray[np.float64]

_CONTEXT_LENGTH = 1 << 20
_START = (-1, -1)  # context of the first token


class SyntheticModel(Model):
    """Target or draft of the pair given by V, one or several α, seed and greedy acceptance.

    Equal arguments give equal models on every machine. Raises TestbedError when V < 2, no α is
    given, or no draft can have these acceptance rates.
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
                f"model '{name}' has vocabulary_size {vocabulary_size}; at least 2 is allowed"
            )
        self._vocabulary_size = vocabulary_size
        self._key = str(seed).encode()
        each = acceptance if isinstance(acceptance, Sequence) else [acceptance]
        if not each:
            raise TestbedError(
                f"model '{name}' has an empty list of acceptances; give at least one"
            )
        self._greedy_acceptance = greedy_acceptance
        self._log_distributions = [
            self._distributions_at(alpha, index, role) for index, alpha in enumerate(each)
        ]

    def _distributions_at(self, acceptance: float, index: int, role: Role) -> list[Logits]:
        """Return log-distributions before any rotation, for the α at `index` of the list.

        Without a greedy acceptance, one for all contexts. With one, the first is for contexts in
        which the likeliest tokens of p and q are the same, the second for the others.
        """
        p = target_distribution(self._vocabulary_size, self._key, index)
        if not p.min() < acceptance <= 1:  # Σ min(p, q) >= min p for every q
            raise TestbedError(
                f"model '{self.name}' has acceptance {acceptance}; with vocabulary_size "
                f"{self._vocabulary_size} it may be above {p.min():.2g} and up to 1"
            )
        drafts = [draft_distribution(p, acceptance, self._key)]
        if self._greedy_acceptance is not None:
            drafts.append(misled_distribution(p, acceptance))
            most, least = (int(q.argmax() == p.argmax()) for q in drafts)
            if not least <= self._greedy_acceptance <= most:
                raise TestbedError(
                    f"model '{self.name}' has greedy_acceptance {self._greedy_acceptance}; with "
                    f"acceptance {acceptance} allowed is {least} to {most}"
                )
        return [_log_twice(p if role == "target" else q) for q in drafts]

    @property
    @override
    def vocabulary_size(self) -> int:
        return self._vocabulary_size

    @property
    @override
    def vocabulary_id(self) -> str:
        # Ids stand for themselves, so V alone identifies a vocabulary.
        return f"synthetic-{self._vocabulary_size}"

    @property
    @override
    def context_length(self) -> int:
        return _CONTEXT_LENGTH

    @property
    @override
    def end_tokens(self) -> frozenset[int]:
        # A generation ends only at the requested length.
        return frozenset()

    @override
    def session(self) -> SyntheticSession:
        return SyntheticSession(self)

    @override
    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Do nothing: the first call takes as long as any other."""

    @override
    def encode(self, text: str) -> list[int]:
        """Return the text's UTF-8 bytes, each modulo V."""
        return [byte % self._vocabulary_size for byte in text.encode()]

    def encode_chat(self, prompt: str) -> list[int]:
        """Raise TestbedError: a synthetic model has no chat template."""
        raise TestbedError(f"model '{self.name}' has no chat template; leave chat out")

    @override
    def decode(self, tokens: Sequence[int]) -> str:
        """Spell the ids out, as in ⟨17⟩⟨3⟩."""
        return "".join(f"⟨{token}⟩" for token in tokens)

    def next_logits(self, context: tuple[int, int]) -> Logits:
        """Return the log-probabilities after `context`, the last two tokens; shape [V]."""
        shift = _hash(self._key, "context", *context) % self._vocabulary_size
        index = 0
        if len(self._log_distributions) > 1:
            index = _hash(self._key, "shape", *context) % len(self._log_distributions)
        greedy = self._greedy_acceptance
        apart = greedy is not None and _hash(self._key, "greedy", *context) >= greedy * 2**64
        return self._log_distributions[index][apart][shift : shift + self._vocabulary_size]


class SyntheticSession(ModelSession):
    """One token sequence; its cache is the list of its tokens."""

    def __init__(self, model: SyntheticModel) -> None:
        self._model = model
        self._tokens: list[int] = []

    @property
    @override
    def length(self) -> int:
        return len(self._tokens)

    @override
    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        rows = check_extension(self._model, self.length, tokens, keep)
        self._tokens.extend(tokens)
        text = [*_START, *self._tokens[-rows - 1 :]]
        contexts = zip(text[-rows - 1 : -1], text[-rows:], strict=True)
        return np.stack([self._model.next_logits(context) for context in contexts])

    @override
    def rollback(self, length: int) -> None:
        check_rollback(self.length, length)
        del self._tokens[length:]


def target_distribution(vocabulary_size: int, key: bytes, index: int = 0) -> Probabilities:
    """Return p for the α at `index` of the list, before any rotation; float64 [V]."""
    ranks = np.arange(1, vocabulary_size + 1, dtype=np.float64)
    # k^-(1.5 + i/2), in operations that round alike on all machines.
    weights = ranks * np.sqrt(ranks)
    for _ in range(index):
        weights *= np.sqrt(ranks)
    unnormalised = 1 / weights
    return _permuted(unnormalised / unnormalised.sum(), key, "target")


def draft_distribution(p: Probabilities, acceptance: float, key: bytes) -> Probabilities:
    """Return q with Σ min(p, q) = acceptance; float64 [V].

    r is p permuted. If that differs too little from p, r is p with its ranks reversed. If that
    still differs too little, r is p's least likely id alone, the most distant of all distributions.
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


def misled_distribution(p: Probabilities, acceptance: float) -> Probabilities:
    """Return q with Σ min(p, q) = acceptance where r is p's second likeliest token; float64 [V]."""
    second = int(np.argsort(p)[-2])
    mix = (1 - acceptance) / (1 - p[second])
    q: Probabilities = (1 - mix) * p
    q[second] += mix
    return q


def _log_twice(p: Probabilities) -> Logits:
    """Return the log-probabilities twice in a row, [2 V], so that every rotation is a slice."""
    twice: Logits = np.log(np.concatenate([p, p])).astype(np.float32)
    return twice


def _permuted(p: Probabilities, key: bytes, label: str) -> Probabilities:
    """Return `p` over the affine permutation id -> a·id + b mod V."""
    size = p.size
    a = 1 + _hash(key, label, 0) % (size - 1)
    while gcd(a, size) != 1:
        a += 1
    b = _hash(key, label, 1) % size
    return p[(a * np.arange(size) + b) % size]


def _hash(key: bytes, label: str, *numbers: int) -> int:
    """Return 64 bits that depend on the arguments alone (Python's own hash varies by process)."""
    text = f"{label}{numbers}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "big")
