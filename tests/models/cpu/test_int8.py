"""Matrices in 8 bits against the same in fp32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from testbed.models.causal_lm import Replace
from testbed.models.cpu.int8 import to_int8, to_plain_int8
from testbed.models.cpu.linear_layers import replace_linears
from testbed.models.packed_draft import dequantise, quantise


@pytest.mark.parametrize(("rows", "columns"), [(1, 32), (64, 32), (33, 576), (7, 96)])
@pytest.mark.parametrize("tokens", [1, 2, 5, 9])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("to_rounded", [to_int8, to_plain_int8])
def test_product_is_that_of_the_rounded_matrix(
    rows: int, columns: int, tokens: int, bias: bool, to_rounded: Replace
) -> None:
    """Up to the rounding of every factor and of the sum to bf16."""
    torch.manual_seed(rows + columns + tokens)
    linear = nn.Linear(columns, rows, bias=bias)
    rounded = dequantise(*quantise(linear.weight.detach().numpy()))
    x = torch.randn(2, tokens, columns)
    with torch.inference_mode():
        y = to_rounded(linear)(x)
        exact = x @ torch.from_numpy(rounded).T + (linear.bias if bias else 0)
        scale = x.abs() @ torch.from_numpy(np.abs(rounded)).T
    assert y.dtype == torch.float32
    assert y.shape == (2, tokens, rows)
    assert ((y - exact).abs() <= 2**-7 * scale + 2**-8 * exact.abs()).all()


def test_matrices_of_a_network_are_replaced_and_its_embedding_is_not() -> None:
    embedding, head = nn.Embedding(10, 32), nn.Linear(32, 10, bias=False)
    head.weight = embedding.weight
    before = embedding.weight.clone()
    network = nn.Sequential(embedding, nn.Sequential(nn.Linear(32, 32), nn.SiLU()), head)
    replace_linears(network, to_int8)
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("Int8Linear") == 2
    assert "Linear" not in kinds
    assert torch.equal(embedding.weight, before)


@pytest.mark.parametrize("columns", [1, 5, 8, 40, 100])
def test_rows_that_end_within_a_block_are_left_alone(columns: int) -> None:
    """For such rows torch's operator reads beyond their ends, or crashes."""
    network = nn.Sequential(nn.Linear(columns, 4))
    replace_linears(network, to_int8)
    assert isinstance(network[0], nn.Linear)
