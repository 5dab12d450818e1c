"""Models named by their Hugging Face id: data files only, never pickles or code."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from testbed.errors import TestbedError

_FILES = [
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
]


def download(model_id: str) -> Path:
    """Local directory of the model "org/name", downloaded unless Hugging Face's cache has it.

    Raises TestbedError when it cannot be had.
    """
    try:
        return Path(snapshot_download(model_id, allow_patterns=_FILES))
    except Exception as error:  # network, hub and file-system errors of several libraries
        raise TestbedError(
            f"Cannot download model '{model_id}' ({type(error).__name__}); "
            "check the name and the connection to the Hugging Face hub, or name a local directory."
        ) from error
