"""Running a network's matrices in the order that oneDNN reads best. Importing this loads torch.

In the order of a plain tensor a pass in bf16 takes half as much again, and one in fp32 over four
tokens or more twice as long as one over three: matrices are then reordered, or read badly, each
time. Here they are reordered once. In fp32 one token is still read faster in the plain order, which
is therefore kept, too. The product is the same sum in another order.
"""

from __future__ import annotations

import torch
from torch import nn

_ROWS = 4
"""Tokens that the order is chosen for. It serves any number; one chosen for 1 serves only that."""


class ReorderedLinear(nn.Module):
    """x ↦ x·Wᵀ + b, W [N, K]; all of one type, fp32 or bf16."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = linear.bias

    @property
    def weight(self) -> torch.Tensor:
        """W in the plain order: a copy, for networks that look at it."""
        weight: torch.Tensor = self._weight.to_dense()
        return weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, K] to […, N]."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self.bias, "none", [], ""
        )
        return product


class TwiceLinear(nn.Module):
    """A linear layer in either order, each for the numbers of tokens that it is better for."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._plain, self._reordered = linear, ReorderedLinear(linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[M, K] to [M, N]."""
        product: torch.Tensor = (self._plain if len(x) < _ROWS else self._reordered)(x)
        return product


def reorder(linear: nn.Linear) -> nn.Module:
    """A linear layer in the better order; the same one where torch was built without oneDNN."""
    return ReorderedLinear(linear) if _available() else linear


def both_orders(linear: nn.Linear) -> nn.Module:
    """A linear layer in both orders; the same one where torch was built without oneDNN."""
    return TwiceLinear(linear) if _available() else linear


def _available() -> bool:
    return torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call, no-any-return]
