"""Running a network's matrices in the order that oneDNN reads best. Importing this loads torch.

In the order of a plain tensor matrices are reordered, or read badly, in each pass: where oneDNN
has a good order for a processor, a pass takes half to two thirds of the time. Here they are
reordered once. The product is the same sum in another order. The operators are not part of torch's
public interface, and refuse some types on some processors: testbed.models.operator_trial tries
them first.
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
