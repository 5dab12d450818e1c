"""Quantised checkpoints of every format are refused before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from testbed.errors import TestbedError
from testbed.models.hf.directory import ModelDirectory
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.hf.quantised import require_plain
from tests.models.tiny import FAMILIES, save

WEIGHT = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return save(FAMILIES["llama"](), tmp_path_factory.mktemp("plain"))


@pytest.fixture
def model(plain, tmp_path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "model"))


def change(model: Path, *, remove: str = "", **tensors: torch.Tensor) -> None:
    """Add tensors to a checkpoint, and remove one."""
    path = model / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if name != remove}
    save_file(kept | tensors, path, {"format": "pt"})


def refusal(model: Path) -> str:
    with pytest.raises(TestbedError) as refused:
        require_plain(model, "m")
    text = str(refused.value)
    assert text.startswith(f"{model}: model 'm' is quantised")
    assert text.endswith("take the model in bf16, fp16 or fp32, or a GGUF file of it")
    return text


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "quantization_config: awq"),
        ({"quantization_config": {"load_in_4bit": True}}, "(quantization_config)"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "(quantization)"),  # mlx
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config: fp8"),
        ({"compression_config": {"format": "pack-quantized"}}, "(compression_config)"),
        ({"text_config": {"quantization_config": {"quant_method": "hqq"}}}, ": hqq"),
        ({"quant_method": "eetq"}, "quant_method: eetq"),
    ],
)
def test_a_configuration_that_says_so(model, keys, named):
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    assert named in refusal(model)


def test_a_configuration_that_says_nothing_of_it_is_none(model):
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": None}))
    ModelDirectory(model, "m")


def test_a_directory_is_looked_at_in_the_preparation(model):
    (model / "quantize_config.json").write_text("{}")
    with pytest.raises(TestbedError, match="is quantised by its quantize_config"):
        ModelDirectory(model, "m")


@pytest.mark.parametrize("file", ["quantize_config.json", "quanto_qmap.json"])
def test_a_file_beside_it(model, file):
    (model / file).write_text("{}")
    assert f"by its {file}" in refusal(model)


@pytest.mark.parametrize(
    "name",
    ["qweight", "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "weight_packed",
     "SCB", "weight.absmax", "weight.quant_state.bitsandbytes__nf4", "W_q", "zero_point",
     "input_scale", "weight._data", "weight._scale", "weight_zero_point", "weight_format"],
)  # fmt: skip
def test_a_tensor_beside_the_numbers(model, name):
    full = f"model.layers.0.self_attn.q_proj.{name}"
    change(model, **{full: torch.ones(2)})
    assert f"it has {full}, which is not read" in refusal(model)


@pytest.mark.parametrize(
    ("dtype", "called"),
    [
        (torch.int8, "I8"), (torch.uint8, "U8"), (torch.int32, "I32"),
        (torch.float8_e4m3fn, "F8_E4M3"), (torch.float8_e5m2, "F8_E5M2"),
    ],
)  # fmt: skip
def test_a_weight_of_another_type(model, dtype, called):
    change(model, remove=WEIGHT, **{WEIGHT: torch.zeros(32, 32).to(dtype)})
    assert f"its {WEIGHT} is of type {called}, not float" in refusal(model)


def test_buffers_that_older_networks_kept_are_no_weights(model):
    layer = "model.layers.0.self_attn"
    change(
        model,
        **{
            f"{layer}.bias": torch.ones(1, 1, 8, 8, dtype=torch.bool),
            f"{layer}.masked_bias": torch.tensor(-1e9),
            "model.embeddings.position_ids": torch.arange(8),
            f"{layer}.rotary_emb.inv_freq": torch.ones(4),
        },
    )
    HuggingFaceModel(model, "m")


def test_a_tensor_that_no_network_reads_is_an_error(model):
    change(model, **{"model.layers.0.self_attn.q_proj.lora_A": torch.ones(2, 2)})
    ModelDirectory(model, "m")  # which does not know the network
    with pytest.raises(TestbedError, match=r"does not read, such as model\.layers\.0.*lora_A"):
        HuggingFaceModel(model, "m")


@pytest.mark.parametrize("name", ["layer_scale_b", "norm.bias", "up_proj.weight"])
def test_other_names_are_no_scales(model, name):
    change(model, **{f"model.layers.0.{name}": torch.ones(2)})
    require_plain(model, "m")
