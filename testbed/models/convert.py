"""GGUF file -> a model directory that loads fast and runs no code: safetensors, float32.

Importing this module loads torch.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from testbed.errors import TestbedError


def convert_gguf(gguf: Path, into: Path) -> None:
    """Write the model in `gguf` to the directory `into`: weights, configuration and tokenizer.

    `gguf` must lie in a directory of its own, or transformers would mix in its neighbours.
    Raises TestbedError when transformers cannot read the file.
    """
    with redirect_stderr(StringIO()):  # its progress bars lack a switch, and we show our own
        try:
            model, tokenizer = _read(gguf)
        except Exception as error:  # each architecture's reader fails in its own way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TestbedError(
                f"Cannot convert the GGUF file ({reason}); "
                "allowed are GGUF files of causal models that transformers can read."
            ) from error
        # transformers refuses to save what came from GGUF, though all of it is plain float32 now.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(into)
        tokenizer.save_pretrained(into)


def _read(gguf: Path) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    if _splitting(gguf) == "smollm":
        # transformers 5.23 drops SmolLM's digit rule, without which "\n\n1." is cut differently
        # from the text that the model was trained on.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return model, tokenizer


def _splitting(gguf: Path) -> str:
    """Name of the rule that splits a text before the merges apply."""
    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())
