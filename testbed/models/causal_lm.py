"""Interface of a network without its tokenizer. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

Replace: TypeAlias = Callable[[nn.Linear], nn.Module]
"""Function from a linear layer to its replacement, which may be the layer itself."""


class CausalLM(Protocol):
    """A network that reads tokens and keeps their keys and values in a cache."""

    def new_cache(self) -> Any:
        """Return an empty cache."""

    def length(self, cache: Any) -> int:
        """Return the number of tokens in a cache."""

    def crop(self, cache: Any, surplus: int) -> None:
        """Remove the last `surplus` tokens from a cache."""

    def forward(self, tokens: torch.Tensor, cache: Any, keep: int) -> torch.Tensor:
        """Read `tokens`, [M], after those in `cache`, and add them to it.

        Returns logits after each of the last `keep` tokens, [keep, V or more].
        """

    def replace(self, by: Replace) -> None:
        """Replace every linear layer by what `by` returns for it, one after the other."""
