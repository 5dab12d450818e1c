"""Random networks of a few thousand weights in GGUF files, and the same as model directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import transformers as t
from gguf import GGUFWriter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from testbed.models.hf.directory import ModelDirectory
from testbed.models.store.gguf_tokenizer import GgufTokenizer
from tests.models.tiny import CONTEXT, FAMILIES, WINDOW

ROWS = 320
"""Number of the networks' logits; those beyond the ids are padding."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['content'] }}{{ eos_token }}\n{% endfor %}"
)
_TEXT = ["the rain in the main is the same as that on the plain", "It's 1 and 23, isn't it? Naïve"]


def network_of(family: str, **more: Any) -> Any:
    """Return a network of tests.models.tiny with ROWS logits and these values in its config."""
    network = FAMILIES[family]()
    network.resize_token_embeddings(ROWS, mean_resizing=False)
    for key, value in more.items():
        setattr(network.config, key, value)
    return type(network)(network.config).eval() if more else network.eval()


def byte_level(
    *, ids: int = 300, split: Any = None, start: bool = False, more: list[Any] | None = None
) -> Any:
    """Return a byte-level tokenizer of `ids` ids or fewer, split as GPT-2's by default.

    With `start`, every text begins with <|im_start|>; `more` are tokens to add.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split or pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _TEXT,
        BpeTrainer(
            vocab_size=ids,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    for token in more or []:
        tokenizer.add_tokens([token])
    if start:
        tokenizer.post_processor = TemplateProcessing(
            "<|im_start|> $A", None, [("<|im_start|>", 1)]
        )
    wrapped: Any = t.PreTrainedTokenizerFast
    return wrapped(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        chat_template=TEMPLATE,
    )


def save(network: Any, tokenizer: Any, path: Path) -> Path:
    """Write a model directory."""
    network.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def write_family(network: Any, tokenizer: Any, path: Path, architecture: str) -> Path:
    """Write a network whose rows llama.cpp rotates as transformers does to path/model.gguf."""
    text = save(network_of("llama"), tokenizer, path / "text")
    config, gemma = network.config, architecture == "gemma3"
    file = path / "model.gguf"
    writer = GGUFWriter(file, architecture)
    writer.add_type("model")
    writer.add_context_length(CONTEXT)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if gemma:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(WINDOW)
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
        writer.add_sliding_window_pattern(
            [kind == "sliding_attention" for kind in config.layer_types]
        )
    GgufTokenizer(text, ModelDirectory(text, "tiny"), ROWS).add_to(writer)
    kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    for name, values in network.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = values.float().numpy()
        if gemma and "norm" in name:
            data = data + 1
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
