"""Sessions of tiny random networks: the arithmetic, not the quality of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from testbed.errors import TestbedError
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.load import load_model
from testbed.models.spec import HuggingFaceSpec, OperatorChoice
from tests.models.session_contract import Reference, SessionContract
from tests.models.tiny import IDS, save

V = IDS
TINY = LlamaConfig(
    vocab_size=V,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    initializer_range=0.05,  # every token shows (0.1 in a logit), rounding does not (1e-6)
    bos_token_id=1,
    eos_token_id=[2, 3],
)


@pytest.fixture(scope="module")
def make_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Save a transformers model and a small word-level tokenizer; return the directory."""
    torch.manual_seed(0)
    return lambda network: save(network, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny_llama(make_tiny: Callable[[Any], Path]) -> Path:
    return make_tiny(LlamaForCausalLM(TINY))


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> HuggingFaceModel:
    return HuggingFaceModel(tiny_llama, "tiny")


def test_properties(model: HuggingFaceModel) -> None:
    assert (model.vocabulary_size, model.context_length) == (V, 128)
    assert model.vocabulary_id.startswith(f"{V}-")
    assert model.end_tokens == {2, 3}
    assert model.encode("w5 w17") == [5, 17]
    assert model.decode([5, 17]) == "w5 w17"


@pytest.fixture(scope="module")
def reference(tiny_llama: Path) -> Reference:
    network = LlamaForCausalLM.from_pretrained(tiny_llama)

    def logits(text: Sequence[int]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(network(torch.tensor([text]), use_cache=False).logits[0].numpy())

    return logits


class TestSession(SessionContract):
    """The contract of sessions."""


def test_left_out_layers_are_gone(tiny_llama: Path) -> None:
    """The remaining layers compute the same as in a network built without the others."""
    network = LlamaForCausalLM.from_pretrained(tiny_llama)
    del network.model.layers[1:3]
    with torch.no_grad():
        expected = network(torch.tensor([[5, 6, 7, 8]]), use_cache=False).logits[0].numpy()

    plain = OperatorChoice(None, "", "")
    spec = HuggingFaceSpec(str(tiny_llama), "short", without_layers=(1, 2), operators=plain)
    model = load_model(spec, "draft")
    assert isinstance(model, HuggingFaceModel)
    session = model.session()
    assert np.abs(session.extend([5, 6, 7, 8]) - expected).max() < 1e-5
    assert len(session._cache.layers) == 2
    session.rollback(2)
    assert np.abs(session.extend([7])[0] - expected[2]).max() < 1e-5
    assert np.abs(session.extend([8])[0] - expected[3]).max() < 1e-5


@pytest.mark.parametrize(
    ("layers", "words"),
    [((4,), "layer 4; it has layers 0 to 3"), ((-1,), "layer -1"), (range(4), "leaves out all")],
)
def test_wrong_layers_are_refused(tiny_llama: Path, layers: Any, words: str) -> None:
    with pytest.raises(TestbedError, match=f"model 'short' .*{words}"):
        HuggingFaceModel(tiny_llama, "short", without_layers=layers)


def test_layer_types_follow_the_layers(make_tiny: Callable[[Any], Path]) -> None:
    """Qwen 2 has a list of layer types in its configuration, one for each layer."""
    config = Qwen2Config(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.1,
        use_sliding_window=True,
        sliding_window=2,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    network = Qwen2ForCausalLM(config).eval()
    path = make_tiny(network)
    del network.model.layers[0]
    network.config.layer_types = network.config.layer_types[1:]
    network.config.num_hidden_layers = 2
    text = [5, 6, 7, 8, 9, 10]
    with torch.no_grad():
        expected = network(torch.tensor([text]), use_cache=False).logits[0].numpy()
    session = HuggingFaceModel(path, "mixed", without_layers=[0]).session()
    session.extend(text)
    session.rollback(1)
    assert np.abs(session.extend(text[1:]) - expected[1:]).max() < 1e-5


def test_other_kinds_of_model_are_refused(make_tiny: Callable[[Any], Path]) -> None:
    """T5 is not a causal model; BERT would load as one without an error, and see the future."""
    t5 = T5Config(vocab_size=V, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    bert = BertConfig(vocab_size=V, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    for network in (T5ForConditionalGeneration(t5), BertForMaskedLM(bert)):
        kind = type(network).__name__
        with pytest.raises(TestbedError, match=rf"'odd' .*\({kind}\) has no trained causal head"):
            HuggingFaceModel(make_tiny(network), "odd")


def test_missing_head_is_refused(make_tiny: Callable[[Any], Path]) -> None:
    """transformers would fill it with random numbers."""
    path = make_tiny(LlamaModel(TINY))
    config = path / "config.json"
    config.write_text(config.read_text().replace("LlamaModel", "LlamaForCausalLM"))
    with pytest.raises(TestbedError, match="no trained causal head"):
        HuggingFaceModel(path, "odd")


def test_truncated_weights_are_refused(make_tiny: Callable[[Any], Path]) -> None:
    path = make_tiny(LlamaForCausalLM(TINY))
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(TestbedError, match="model 'cut' has a damaged weight file"):
        HuggingFaceModel(path, "cut")


def test_half_precision_still_returns_float32(tiny_llama: Path) -> None:
    logits = HuggingFaceModel(tiny_llama, "half", dtype="bf16").session().extend([5])
    exact = HuggingFaceModel(tiny_llama, "full").session().extend([5])
    assert logits.dtype == np.float32
    assert 0 < np.abs(logits - exact).max() < 0.5


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_devices(tiny_llama: Path, model: HuggingFaceModel, device: str) -> None:
    """Without GPUs the device map of transformers puts everything on the CPU."""
    text = [5, 6, 7]
    other = HuggingFaceModel(tiny_llama, "tiny", device=device).session().extend(text)
    assert np.array_equal(other, model.session().extend(text))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there(tiny_llama: Path, device: str) -> None:
    with pytest.raises(TestbedError, match=f"'tiny' is to run on {device}, .* cpu, auto$"):
        HuggingFaceModel(tiny_llama, "tiny", device=device)


def test_weights_that_overflow_are_refused(make_tiny: Callable[[Any], Path]) -> None:
    """The largest number in fp16 is 65504."""
    network = LlamaForCausalLM(TINY)
    with torch.no_grad():
        network.model.embed_tokens.weight.mul_(1e6)
    path = make_tiny(network)
    HuggingFaceModel(path, "large")
    with pytest.raises(TestbedError, match=r"'large' computes NaN or infinity .* fp16 lacks$"):
        HuggingFaceModel(path, "large", dtype="fp16")


def test_threads_are_set(tiny_llama: Path) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            HuggingFaceModel(tiny_llama, "tiny", threads=threads)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
