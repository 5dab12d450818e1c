"""Reordered matrices against plain ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from testbed.models.cpu.linear_layers import replace_linears
from testbed.models.cpu.reordered import ReorderedLinear

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="this torch has no oneDNN",
)
ROUNDING = {torch.float32: 2**-18, torch.bfloat16: 2**-6}
"""Share of the sum of all summands' magnitudes; rounding to bf16 alone is off by 2⁻⁹."""


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (64, 32), (33, 576), (192, 100)])
@pytest.mark.parametrize("tokens", [1, 2, 4, 5, 9, 40])
@pytest.mark.parametrize("bias", [False, True])
def test_product_is_the_same(
    dtype: torch.dtype, rows: int, columns: int, tokens: int, bias: bool
) -> None:
    torch.manual_seed(rows + columns + tokens)
    linear = nn.Linear(columns, rows, bias=bias).to(dtype)
    x = torch.randn(2, tokens, columns, dtype=dtype)
    try:
        reordered = ReorderedLinear(linear)
    except RuntimeError as refusal:  # bf16 on AVX2: operator_trial leaves it alone then
        assert dtype is torch.bfloat16, "fp32 has an order on every processor"
        pytest.skip(f"this processor has no such order: {refusal}")
    assert torch.equal(reordered.weight, linear.weight)
    with torch.inference_mode():
        y = reordered(x)
        exact = x.double() @ linear.weight.double().T + (linear.bias.double() if bias else 0)
        size = x.double().abs() @ linear.weight.double().abs().T + exact.abs()
    assert y.dtype == dtype
    assert y.shape == (2, tokens, rows)
    assert ((y - exact).abs() <= ROUNDING[dtype] * size).all()


def test_a_matrix_shared_with_the_embedding_stays_with_it() -> None:
    embedding, head = nn.Embedding(10, 32), nn.Linear(32, 10, bias=False)
    head.weight = embedding.weight
    before = embedding.weight.clone()
    network = nn.Sequential(embedding, nn.Sequential(nn.Linear(32, 32), nn.SiLU()), head)
    replace_linears(network, ReorderedLinear)
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("ReorderedLinear") == 2
    assert torch.equal(embedding.weight, before)
    assert network(torch.tensor([3])).shape == (1, 10)


def test_layers_that_only_look_linear_are_left_alone() -> None:
    class Scaled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    network = nn.Sequential(Scaled(4, 4))
    replace_linears(network, ReorderedLinear)
    assert type(network[0]) is Scaled
