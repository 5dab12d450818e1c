"""Conversion of a GGUF file to a model directory with safetensors in float32.

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
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from testbed.errors import TestbedError, first_line
from testbed.models.hf.quantised import is_scale
from testbed.models.memory import require_room
from testbed.models.weights import BYTES


def convert_gguf(gguf: Path, into: Path) -> None:
    """Write the model in `gguf` to the directory `into`: weights, configuration and tokenizer.

    `gguf` must be alone in its directory, or transformers would read its neighbours as well.
    Raises TestbedError when transformers cannot read the file, weights are missing, or they do not
    fit into memory in float32.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # missing tensors are reported below
    with redirect_stderr(StringIO()):  # its progress bars cannot be switched off
        try:
            reader = GGUFReader(gguf)
            if scales := [each.name for each in reader.tensors if is_scale(each.name)]:
                raise TestbedError(
                    f"the GGUF file has {scales[0]}, a scale beside its tensors, which is not "
                    "read; take a file with another quantisation, such as Q8_0 or Q4_K"
                )
            numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
            require_room(BYTES["fp32"] * numbers, "converting the GGUF file to float32")
            model, tokenizer = _read(gguf, _splitting(reader))
        except TestbedError:
            raise
        except Exception as error:  # each architecture's reader fails in its own way
            raise TestbedError(
                f"cannot convert the GGUF file ({first_line(error)}); "
                "allowed are GGUF files of causal models that transformers can read"
            ) from error
        # transformers refuses to save models loaded from GGUF, though all weights are float32 now.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(into)
        tokenizer.save_pretrained(into)


def _read(gguf: Path, splitting: str) -> tuple[Any, Any]:
    causal: Any = AutoModelForCausalLM  # its declared type lacks output_loading_info
    model, report = causal.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:  # transformers fills them with random numbers
        raise TestbedError(
            f"the GGUF file lacks {len(report['missing_keys'])} of its model's tensors, such as "
            f"{min(report['missing_keys'])}; take a complete one"
        )
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    if splitting == "smollm":
        # transformers 5.23 drops SmolLM's digit rule, without which "\n\n1." is split differently
        # from the text that the model was trained on.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return model, tokenizer


def _splitting(reader: GGUFReader) -> str:
    """Return the name of the rule that splits a text before merges apply; "" if there is none."""
    field = reader.get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())
