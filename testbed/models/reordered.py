"""Running a network's matrices in the order that oneDNN reads best. Importing this loads torch.

In the order of a plain tensor the two to eight tokens of a verification cost up to 1.7 times as
much as one token, in bf16 every pass half as much again, for a matrix is then reordered, or read
badly, each time. Here it is done once. The product is the same sum in another order.
"""

from __future__ import annotations

import torch
from torch import nn

from testbed.models.linears import replace_linears

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


def reorder(network: nn.Module) -> None:
    """Replace the linear layers of `network`, the head included, in place.

    A head that shares its matrix with the embedding gets one of its own. Does nothing where torch
    was built without oneDNN.
    """
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        replace_linears(network, ReorderedLinear)
