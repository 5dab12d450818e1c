"""Running a network's matrices in 8 bits on a CPU. Importing this loads torch.

A single token costs what it takes to read all weights from memory: in 8 bits a quarter of fp32's.
Libraries for this gain little without a compiler (torchao, eager, took longer than fp32 here), so
this is torch's own operator and nothing around it.
"""

from __future__ import annotations

import torch
from torch import nn

from testbed.models.linears import replace_linears
from testbed.models.packed import quantise

_BLOCK = 32  # numbers; the operator has blocks of 16 or 32, by the processor


class Int8Linear(nn.Module):
    """x ↦ x·Wᵀ + b, W [N, K] as integers with a scale for each row; x and the sums in bf16.

    The integers are those of testbed.models.packed, so a draft that was shipped in 8 bits loses
    nothing more.
    """

    integers: torch.Tensor
    scale: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        integers, scale = quantise(linear.weight.detach().float().numpy())
        self.register_buffer("integers", torch.from_numpy(integers))
        self.register_buffer("scale", torch.from_numpy(scale).bfloat16())
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, K] to […, N], in x's type."""
        rows = x.reshape(-1, x.shape[-1]).bfloat16()
        product = torch._weight_int8pack_mm(rows, self.integers, self.scale).to(x.dtype)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], -1)


def to_int8(network: nn.Module) -> None:
    """Replace the linear layers of `network`, the head included, in place.

    Layers whose rows are no whole number of blocks stay: torch's operator reads beyond their ends.
    """
    replace_linears(
        network, lambda linear: None if linear.in_features % _BLOCK else Int8Linear(linear)
    )
