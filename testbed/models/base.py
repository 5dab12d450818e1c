"""What a language model is to the rest of the testbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError

Logits = NDArray[np.float32]


class ModelSession(Protocol):
    """One text being read by one model, with its cache.

    The cache covers the first `length` tokens of the text. A session is used by one thread.
    """

    @property
    def length(self) -> int:
        """Number of tokens the cache covers."""

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        """Read `tokens` after the cached ones in one forward pass.

        Returns logits of shape [keep, V], float32: the predictions made after each of the last
        `keep` tokens (all of them by default); row -1 predicts the token that would follow.
        Raises TestbedError when `tokens` is empty, an id is outside the vocabulary, or the text
        would outgrow the model's context.
        """

    def rollback(self, length: int) -> None:
        """Forget every token from position `length` on; the rest of the cache stays valid.

        Raises ValueError unless 0 <= length <= self.length.
        """


class TextFrontend(Protocol):
    """How a model reads text; known before its weights are loaded."""

    @property
    def name(self) -> str:
        """What the scenario called the model; used in messages to the user."""

    @property
    def context_length(self) -> int:
        """Longest text in tokens that the model can read."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Ids after which a text is complete."""

    def encode(self, text: str) -> list[int]:
        """TextFrontend to token ids."""

    def encode_chat(self, prompt: str) -> list[int]:
        """Token ids of a user's turn in the model's chat template, and of the answer's beginning.

        Raises TestbedError when the model has none.
        """


class Model(Protocol):
    """A causal language model that can read several texts, one session each."""

    name: str
    """What the scenario called it; used in messages to the user."""

    @property
    def vocabulary_size(self) -> int:
        """V: number of token ids; every distribution has this many entries."""

    @property
    def vocabulary_id(self) -> str:
        """Fingerprint of the token-to-id map; draft and target must have the same one."""

    @property
    def context_length(self) -> int:
        """Longest text in tokens that the model can read."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Ids after which a text is complete."""

    def session(self) -> ModelSession:
        """Start an empty text."""

    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Pay the costs of first calls: read `tokens` at once, then `block` tokens, then one."""

    def encode(self, text: str) -> list[int]:
        """TextFrontend to token ids."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids to text."""


def require_context(model: Model | TextFrontend, limit: int) -> None:
    """Raise TestbedError unless `model` can read a text of `limit` tokens, all but the last."""
    if limit - 1 > model.context_length:
        raise TestbedError(
            f"prompt and max_new_tokens make {limit} tokens, but model {model.name} reads at most "
            f"{model.context_length}"
        )
