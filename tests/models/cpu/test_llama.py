"""Llama by its operators alone, against the Llama of transformers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.functional import rms_norm
from transformers import LlamaConfig, LlamaForCausalLM

from testbed.errors import TestbedError
from testbed.models.cpu import llama
from testbed.models.cpu.llama import Llama
from testbed.models.hf.backends import TransformersBackend, fastest_backend

IDS = 50
SHAPES: dict[str, dict[str, Any]] = {
    "grouped heads": {},
    "a head each": {"num_key_value_heads": 4},
    "wide heads": {"head_dim": 24},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "head of its own": {"tie_word_embeddings": False},
    "llama3 positions": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "linear positions": {
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    },
}


def network(**changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=IDS,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        **{"num_key_value_heads": 2, "tie_word_embeddings": True, **changes},
    )
    made = LlamaForCausalLM(config).eval()
    for name, values in made.named_parameters():
        if "bias" in name or "norm" in name:  # zeros and ones when they are made
            values.data.add_(torch.randn_like(values), alpha=0.3)
    return made


def in_precision(whole: LlamaForCausalLM, dtype: Any) -> Any:
    return whole.bfloat16() if dtype == "bf16" else whole


def read(model: Any, blocks: list[list[int]]) -> torch.Tensor:
    """Return the logits after all tokens, read in blocks whose last token is rolled back once."""
    cache, rows = model.new_cache(), []
    with torch.inference_mode():
        for block in blocks:
            model.forward(torch.tensor([*block, 7]), cache, 1)
            model.crop(cache, len(block) + 1)
            rows.append(model.forward(torch.tensor(block), cache, len(block)))
    return torch.cat(rows).float()


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_transformers(shape: str) -> None:
    whole = network(**SHAPES[shape])
    text = torch.randint(IDS, (600,), generator=torch.Generator().manual_seed(1)).tolist()
    blocks = [text[:250], text[250:251], text[251:256], text[256:257], text[257:262], text[262:]]
    with torch.inference_mode():
        wanted = whole(torch.tensor([text])).logits[0]
    backend = fastest_backend(copy.deepcopy(whole), "it", "fp32", "cpu", None)
    assert isinstance(backend, Llama)
    got = read(backend, blocks)
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert (
        read(TransformersBackend(whole), blocks) - wanted
    ).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(("dtype", "share"), [("bf16", 0.05), ("int8", 0.1)])
def test_lower_precisions_are_near(dtype: Any, share: float) -> None:
    whole = network()
    wanted = read(TransformersBackend(whole), [[1, 2, 3], [4]])
    low = in_precision(whole, dtype)
    got = read(fastest_backend(low, "it", dtype, "cpu", None), [[1, 2, 3], [4]])
    assert 0 < (got - wanted).norm() < share * (wanted - wanted.mean()).norm()


@pytest.mark.parametrize(
    ("dtype", "name", "mistake"),
    [
        ("fp32", "silu", torch.relu),
        ("fp32", "rms_norm", lambda x, shape, weight, eps: rms_norm(x, shape, weight, 2 * eps)),
        ("bf16", "rms_norm", lambda x, shape, weight, eps: x),
        ("int8", "silu", torch.relu),
    ],
)
def test_what_computes_something_else_is_refused(
    dtype: Any, name: str, mistake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lower precision only larger mistakes are found."""
    monkeypatch.setattr(llama, name, mistake)
    whole = network(rms_norm_eps=1e-2)
    with pytest.raises(
        TestbedError, match=r"^model 'it' computes other logits on this processor than"
    ):
        fastest_backend(in_precision(whole, dtype), "it", dtype, "cpu", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_other_networks_are_left_to_transformers(changes: dict[str, Any]) -> None:
    assert isinstance(
        fastest_backend(network(**changes), "it", "fp32", "cpu", None), TransformersBackend
    )


def test_subclasses_are_left_to_transformers() -> None:
    class Other(LlamaForCausalLM):
        pass

    whole = network()
    whole.__class__ = Other
    assert isinstance(fastest_backend(whole, "it", "fp32", "cpu", None), TransformersBackend)
