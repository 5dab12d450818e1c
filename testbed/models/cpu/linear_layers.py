"""Putting something quicker in the place of linear layers. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

Replace: TypeAlias = Callable[[nn.Linear], nn.Module]
"""Makes of a linear layer what is to stand in its place, or gives it back."""


def replace_linears(network: nn.Module, by: Replace) -> None:
    """Replace the linear layers of `network`, the head included, in place.

    Subclasses stay as they are: they may compute something else. So do embeddings, even where the
    head is the same matrix.
    """
    for name, child in network.named_children():
        if type(child) is nn.Linear:
            setattr(network, name, by(child))
        else:
            replace_linears(child, by)


@dataclass
class Crossing:
    """The number of tokens from which on the layers of a network use an operator; None: never."""

    tokens: int | None


class ByTokens(nn.Module):
    """A linear layer twice, each for the numbers of tokens that it is better for."""

    def __init__(self, plain: nn.Module, operator: nn.Module, crossing: Crossing) -> None:
        super().__init__()
        self._plain, self._operator, self._crossing = plain, operator, crossing

    @property
    def weight(self) -> torch.Tensor:
        """W, for networks that look at it."""
        weight: torch.Tensor = self._plain.weight  # type: ignore[assignment]
        return weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, K] to […, N]."""
        crossing = self._crossing.tokens
        beyond = crossing is not None and x.numel() >= crossing * x.shape[-1]
        product: torch.Tensor = (self._operator if beyond else self._plain)(x)
        return product
