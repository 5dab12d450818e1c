"""Linear layers stored in the memory layout that oneDNN reads fastest. Importing this loads torch.

A plain tensor is converted to that layout, or read slowly, in every pass. Here each matrix is
converted once; where oneDNN has a good layout for the processor, a pass takes half to two thirds of
the time. The product is the same sum in another order. The operators are not part of torch's public
interface, and reject some types on some processors: testbed.models.operator_trial tries them first.
"""

from __future__ import annotations

import torch
from torch import nn
from typing_extensions import override

_ROWS = 4
"""Tokens that the layout is chosen for.

It serves any number of them; a layout chosen for 1 token would serve only that.
"""


class ReorderedLinear(nn.Module):
    """x ↦ x·Wᵀ + b with W, [N, K]; all of one type, fp32 or bf16."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = linear.bias

    @property
    def weight(self) -> torch.Tensor:
        """W, [N, K], copied to the plain layout, for networks that read it."""
        weight: torch.Tensor = self._weight.to_dense()
        return weight

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x, […, K], to […, N]."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self.bias, "none", [], ""
        )
        return product
