"""GGUF files with headers like those of models, and next to nothing in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFValueType, GGUFWriter

TOKENS = ["<s>", "a", "ä", "[PAD3]"]


def write(path: Path, architecture: str = "llama", **more: object) -> Path:
    """Write a file of two tensors, with these values beside the usual ones, or without if None."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_array("tokenizer.ggml.scores", [0.0, 0.5])
    for key, value in {"general.type": "model", "tokenizer.ggml.tokens": TOKENS, **more}.items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, int):
            writer.add_key_value(key, value, GGUFValueType.UINT16)
        elif value is not None:
            writer.add_string(key, str(value))
    writer.add_array("tokenizer.ggml.token_type", [3, 1, 1, 5])
    writer.add_array("tokenizer.ggml.merges", ["a b", "c d"])
    writer.add_string("tokenizer.chat_template", "{{ x }}")
    writer.add_tensor("a.weight", np.zeros((3, 32), np.float32))
    writer.add_tensor("b.weight", np.zeros(5, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
