"""A tiny random target with a chat template."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from testbed.models.spec import HuggingFaceSpec

V = 40
_TEMPLATE = (
    "{% for message in messages %}w1 {{ message['role'] }} {{ message['content'] }} w2 {% endfor %}"
)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceSpec:
    """Save a target of six layers and 40 words; a chat begins with "w1 user"."""
    path = tmp_path_factory.mktemp("target")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,  # distributions that are far from even
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    words = {"user": 0} | {f"w{index}": index for index in range(1, V)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped: Any = PreTrainedTokenizerFast
    wrapped(
        tokenizer_object=tokenizer, unk_token="w3", eos_token="w2", chat_template=_TEMPLATE
    ).save_pretrained(path)
    return HuggingFaceSpec(str(path), "tiny")
