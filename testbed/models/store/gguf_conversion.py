"""Conversion of the default model's GGUF file to a directory with safetensors in float32.

Importing this loads torch.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, __version__
from transformers.utils import logging

from testbed.errors import TestbedError, first_line
from testbed.models.memory import require_room
from testbed.models.weights import BYTES


def convert_gguf(gguf: Path, into: Path) -> None:
    """Write the model in `gguf` to the directory `into`: weights, configuration and tokenizer.

    `gguf` must be alone in its directory, or transformers would read its neighbours as well.
    Raises TestbedError when the installed transformers cannot read the file, or the weights do not
    fit into memory in float32.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # missing tensors are reported below
    with redirect_stderr(StringIO()):  # its progress bars cannot be switched off
        try:
            numbers = sum(int(tensor.n_elements) for tensor in GGUFReader(gguf).tensors)
            require_room(BYTES["fp32"] * numbers, "converting the GGUF file to float32")
            model, tokenizer = _read(gguf)
        except TestbedError:
            raise
        except Exception as error:  # whatever a version of transformers may raise
            raise _unread(first_line(error)) from error
        # transformers refuses to save models loaded from GGUF, though all weights are float32 now.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(into)
        tokenizer.save_pretrained(into)


def _read(gguf: Path) -> tuple[Any, Any]:
    causal: Any = AutoModelForCausalLM  # its declared type lacks output_loading_info
    model, report = causal.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:  # transformers fills them with random numbers
        raise _unread(f"it finds no {min(report['missing_keys'])}")
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    # transformers 5.23 drops SmolLM's digit rule, without which "\n\n1." is split differently from
    # the text that the model was trained on.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return model, tokenizer


def _unread(reason: str) -> TestbedError:
    return TestbedError(
        f"transformers {__version__} cannot read the default model's GGUF file ({reason}); install "
        "the version that constraints.txt names"
    )
