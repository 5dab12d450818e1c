"""Running a network's matrices in 8 bits on a CPU. Importing this loads torch.

A single token costs what it takes to read all weights from memory: in 8 bits a quarter of fp32's.
Libraries for this gain little without a compiler (torchao, eager, took longer than fp32 here), so
this is torch's own operator and nothing around it. It is not part of torch's public interface:
testbed.models.operator_trial tries it first, and where it cannot be used the same integers are
multiplied as numbers of 32 bits, which takes four times the memory.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear as multiply

from testbed.models.packed_draft import quantise

_BLOCK = 32  # numbers; the operator has blocks of 16 or 32, by the processor


class Int8Linear(nn.Module):
    """x ↦ x·Wᵀ + b, W [N, K] as integers with a scale for each row; x and the result in bf16.

    The integers are those of testbed.models.packed_draft, so a draft that was shipped in 8
    bits loses nothing more.
    """

    integers: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, integers: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """W's integers, [N, K], and scales, [N].

        Those of int8 are multiplied by torch's operator, those of float32 as they are. Up to the
        order of the sums both compute the same.
        """
        super().__init__()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale.bfloat16())
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, K] to […, N], in x's type."""
        rows = x.reshape(-1, x.shape[-1]).bfloat16()
        if self.integers.dtype == torch.int8:
            product = torch._weight_int8pack_mm(rows, self.integers, self.scale)
        else:
            product = (multiply(rows.float(), self.integers) * self.scale).bfloat16()
        product = product.to(x.dtype)
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


def to_plain_int8(linear: nn.Linear) -> nn.Module:
    """A linear layer rounded to 8 bits, without torch's operator for them."""
    rounded = to_int8(linear)
    if isinstance(rounded, Int8Linear):
        rounded.integers = rounded.integers.float()
    return rounded
