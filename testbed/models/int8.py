"""Running a network's matrices in 8 bits on a CPU. Importing this loads torch.

A single token costs what it takes to read all weights from memory: in 8 bits a quarter of fp32's.
Libraries for this gain little without a compiler (torchao, eager, took longer than fp32 here), so
this is torch's own operator and nothing around it.
"""

from __future__ import annotations

import torch
from torch import nn

from testbed.models.packed import quantise

_BLOCK = 32  # numbers; the operator has blocks of 16 or 32, by the processor


class Int8Linear(nn.Module):
    """x ↦ x·Wᵀ + b, W [N, K] as integers with a scale for each row; x and the sums in bf16.

    The integers are those of testbed.models.packed, so a draft that was shipped in 8 bits loses
    nothing more.
    """

    integers: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, integers: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """W's integers, [N, K] int8, and scales, [N]."""
        super().__init__()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale.bfloat16())
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, K] to […, N], in x's type."""
        rows = x.reshape(-1, x.shape[-1]).bfloat16()
        product = torch._weight_int8pack_mm(rows, self.integers, self.scale).to(x.dtype)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], -1)


def to_int8(linear: nn.Linear) -> nn.Module:
    """A linear layer in 8 bits.

    One whose rows are no whole number of blocks stays: torch's operator reads beyond their ends.
    """
    if linear.in_features % _BLOCK:
        return linear
    integers, scale = quantise(linear.weight.detach().float().numpy())
    return Int8Linear(torch.from_numpy(integers), torch.from_numpy(scale), linear.bias)
