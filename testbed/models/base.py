"""Interface of a language model: sessions, text and token ids, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError
from testbed.models.vocabulary import Vocabulary

Logits = NDArray[np.float32]


class ModelSession(Protocol):
    """One token sequence read by one model, with its key-value cache.

    The cache covers the first `length` tokens of the sequence. A session is used by one thread.
    """

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        """Read `tokens` after the cached ones in one forward pass.

        Returns logits of shape [keep, V], float32: one prediction after each of the last `keep`
        tokens (all of them by default); row -1 predicts the token that follows the last one.
        Raises TestbedError when `tokens` is empty, an id is outside the vocabulary, or the
        sequence would be longer than the model's context.
        """

    def rollback(self, length: int) -> None:
        """Remove every token from position `length` on; the rest of the cache stays valid.

        Raises ValueError unless 0 <= length <= self.length.
        """


class TextFrontend(Protocol):
    """Tokenizer and limits of a model, available before its weights are loaded."""

    @property
    def name(self) -> str:
        """Name of the model in the scenario; used in messages to the user."""

    @property
    def context_length(self) -> int:
        """Length in tokens of the longest sequence that the model can read."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Ids that end a generation."""

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids."""

    def encode_chat(self, prompt: str) -> list[int]:
        """Convert a user's turn to token ids by the chat template, up to where the answer begins.

        Raises TestbedError when the model has no chat template.
        """


class FileText(TextFrontend, Protocol):
    """The same of a model in files, whose vocabulary can be compared with another's."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Map from token ids to tokens."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Convert token ids to text."""


class Model(Protocol):
    """A causal language model; each token sequence is read in a session of its own."""

    name: str
    """Name of the model in the scenario; used in messages to the user."""

    @property
    def vocabulary_size(self) -> int:
        """V, the number of token ids; every distribution has V entries."""

    @property
    def vocabulary_id(self) -> str:
        """Fingerprint of the token-to-id map; draft and target must share it."""

    @property
    def context_length(self) -> int:
        """Length in tokens of the longest sequence that the model can read."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Ids that end a generation."""

    def session(self) -> ModelSession:
        """Start an empty sequence."""

    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Run passes over `tokens`, over `block` tokens and over one, as first calls are slow."""

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Convert token ids to text."""


class Limited(Protocol):
    """Anything that reads a limited number of tokens."""

    @property
    def name(self) -> str:
        """Name in messages to the user."""

    @property
    def context_length(self) -> int:
        """Length in tokens of the longest sequence that can be read."""


def require_context(model: Limited, limit: int) -> None:
    """Raise TestbedError unless `model` can read all but the last of `limit` tokens."""
    if limit - 1 > model.context_length:
        raise TestbedError(
            f"prompt and max_new_tokens make {limit} tokens, but model {model.name} reads at most "
            f"{model.context_length}"
        )
