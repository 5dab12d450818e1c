"""Linear layers in 8 bits on a CPU. Importing this loads torch.

A pass over a single token takes as long as reading all weights from memory, so weights in 8 bits
take a quarter of the time of fp32. Libraries for this gain little without a compiler (torchao,
eager, took longer than fp32 here), so torch's own operator is called directly. It is not part of
torch's public interface: testbed.models.operator_trial tries it first. Where it cannot be used, the
same integers are stored and multiplied in fp32, which takes four times the memory.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear as multiply
from typing_extensions import override

from testbed.models.packed_draft import quantise

_BLOCK = 32  # numbers; the operator works in blocks of 16 or 32, depending on the processor


class Int8Linear(nn.Module):
    """x ↦ x·Wᵀ + b with W, [N, K], as integers and one scale per row; x is rounded to bf16.

    The integers are those of testbed.models.packed_draft, so a draft stored in 8 bits is not
    rounded any further.
    """

    integers: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, integers: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """Take W's integers, [N, K], as int8 or float32, and its scales, [N].

        int8 is multiplied by torch's operator, float32 by a plain matrix product. Both give the
        same result up to the order of the sums.
        """
        super().__init__()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale.bfloat16())
        self.bias = bias

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x, […, K], to […, N], in the type of x."""
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
    """Convert a linear layer to 8 bits.

    A layer whose rows are not a multiple of the block size is returned as it is, because torch's
    operator would read beyond the ends of its rows.
    """
    if linear.in_features % _BLOCK:
        return linear
    integers, scale = quantise(linear.weight.detach().float().numpy())
    return Int8Linear(torch.from_numpy(integers), torch.from_numpy(scale), linear.bias)


def to_plain_int8(linear: nn.Linear) -> nn.Module:
    """Round a linear layer to 8 bits, without the use of torch's operator."""
    rounded = to_int8(linear)
    if isinstance(rounded, Int8Linear):
        rounded.integers = rounded.integers.float()
    return rounded
