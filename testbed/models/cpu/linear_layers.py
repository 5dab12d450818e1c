"""Replacement of a network's linear layers by faster ones. Importing this loads torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from typing_extensions import override

from testbed.models.causal_lm import Replace


def replace_linears(network: nn.Module, by: Replace) -> None:
    """Replace the linear layers of `network`, the head included, in place.

    Subclasses of nn.Linear are kept, because they may compute something else. Embeddings are kept,
    even if the head is the same matrix.
    """
    for name, child in network.named_children():
        if type(child) is nn.Linear:
            setattr(network, name, by(child))
        else:
            replace_linears(child, by)


@dataclass
class Crossing:
    """Shortest pass, in tokens, in which the layers of a network use an operator; None: no pass."""

    tokens: int | None


class ByTokens(nn.Module):
    """A linear layer in two forms: plain for short passes, with an operator for longer ones."""

    def __init__(self, plain: nn.Module, operator: nn.Module, crossing: Crossing) -> None:
        super().__init__()
        self._plain, self._operator, self._crossing = plain, operator, crossing

    @property
    def weight(self) -> torch.Tensor:
        """W, [N, K], for networks that read it."""
        weight: torch.Tensor = self._plain.weight  # type: ignore[assignment]
        return weight

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x, […, K], to […, N]."""
        crossing = self._crossing.tokens
        beyond = crossing is not None and x.numel() >= crossing * x.shape[-1]
        product: torch.Tensor = (self._operator if beyond else self._plain)(x)
        return product
