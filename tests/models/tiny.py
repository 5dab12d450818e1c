"""Random networks of many families, of a few thousand weights each, and a tokenizer for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

IDS = 48
"""Number of the tokenizer's ids: w0, w1, … and <|endoftext|>."""
LOGITS = 56
"""Number of the networks' logits; those beyond the ids are padding."""
WINDOW = 4
"""Width of local attention in tokens."""
CONTEXT = 128

# Every token shows in the logits (0.1 and more), rounding does not (1e-6).
_COMMON = {
    "vocab_size": LOGITS,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LLAMA_LIKE = {**_COMMON, "intermediate_size": 64, "num_key_value_heads": 2}
_GEMMA_LIKE = {**_LLAMA_LIKE, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": WINDOW}
_MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def _build(config: Any) -> Any:
    torch.manual_seed(0)
    return t.AutoModelForCausalLM.from_config(config)


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: _build(t.LlamaConfig(**_LLAMA_LIKE)),
    "opt": lambda: _build(t.OPTConfig(**_COMMON, ffn_dim=64, word_embed_proj_dim=16, init_std=0.1)),
    "gpt_neo": lambda: _build(
        t.GPTNeoConfig(
            vocab_size=LOGITS,
            hidden_size=32,
            num_layers=4,
            num_heads=4,
            attention_types=[[["global", "local"], 2]],
            window_size=WINDOW,
            max_position_embeddings=CONTEXT,
            initializer_range=0.1,
            bos_token_id=1,
            eos_token_id=2,
        )
    ),
    "gpt_neox": lambda: _build(t.GPTNeoXConfig(**_COMMON, intermediate_size=64)),
    "qwen2": lambda: _build(t.Qwen2Config(**_LLAMA_LIKE)),
    "qwen2_windows": lambda: _build(
        t.Qwen2Config(
            **_LLAMA_LIKE, use_sliding_window=True, sliding_window=WINDOW, layer_types=_MIXED
        )
    ),
    "qwen3": lambda: _build(t.Qwen3Config(**_LLAMA_LIKE, head_dim=8)),
    "gemma": lambda: _build(t.GemmaConfig(**_LLAMA_LIKE, head_dim=8)),
    "gemma2": lambda: _build(t.Gemma2Config(**_GEMMA_LIKE)),
    "gemma3": lambda: _build(t.Gemma3TextConfig(**_GEMMA_LIKE, layer_types=_MIXED)),
    "gemma3n": lambda: _build(
        t.Gemma3nTextConfig(
            **{**_GEMMA_LIKE, "num_hidden_layers": 4},
            hidden_size_per_layer_input=8,
            vocab_size_per_layer_input=LOGITS,
            num_kv_shared_layers=2,
            laurel_rank=4,
            layer_types=["sliding_attention", "full_attention"] * 2,
        )
    ),
    "mistral": lambda: _build(t.MistralConfig(**_LLAMA_LIKE, head_dim=8, sliding_window=WINDOW)),
    "llama4": lambda: _build(
        t.Llama4TextConfig(
            **_LLAMA_LIKE,
            head_dim=8,
            attention_chunk_size=WINDOW,
            num_local_experts=2,
            intermediate_size_mlp=64,
            no_rope_layers=[1, 1, 0],
        )
    ),
}
"""Full attention; sliding windows (Neo, Qwen 2, Gemma 2 and 3, Mistral); shared keys (Gemma 3n);
chunks (Llama 4)."""

RECURRENT: dict[str, Callable[[], Any]] = {
    "mamba": lambda: _build(t.MambaConfig(vocab_size=LOGITS, hidden_size=8, num_hidden_layers=1)),
    "qwen3_next": lambda: _build(
        t.Qwen3NextConfig(
            **_LLAMA_LIKE,
            head_dim=8,
            num_experts=2,
            num_experts_per_tok=1,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=8,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            layer_types=["linear_attention", "full_attention", "linear_attention"],
        )
    ),
    "rwkv": lambda: _build(
        t.RwkvConfig(vocab_size=LOGITS, context_length=CONTEXT, hidden_size=8, num_hidden_layers=2)
    ),
}


def save(
    network: Any, path: Path, *, ids: int = IDS, start: bool = False, template: str | None = None
) -> Path:
    """Write `network` and a word-level tokenizer of `ids` ids to `path`.

    With `start`, every text begins with w1. `template` is a chat template.
    """
    words = {f"w{index}": index for index in range(ids - 1)}
    words["<|endoftext|>"] = ids - 1  # transformers gives Qwen one if its tokenizer has none
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if start:
        tokenizer.post_processor = TemplateProcessing("w1 $A", None, [("w1", 1)])
    wrapped: Any = t.PreTrainedTokenizerFast
    wrapped(
        tokenizer_object=tokenizer,
        unk_token="w0",
        eos_token="w2",
        chat_template=template,
    ).save_pretrained(path)
    network.save_pretrained(path)
    return path
