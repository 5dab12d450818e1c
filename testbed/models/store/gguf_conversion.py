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
from transformers.utils import logging

from testbed.errors import TestbedError, first_line
from testbed.models.hf.quantised import is_scale
from testbed.models.memory import BYTES, require_room


def convert_gguf(gguf: Path, into: Path) -> None:
    """Write the model in `gguf` to the directory `into`: weights, configuration and tokenizer.

    `gguf` must lie in a directory of its own, or transformers would mix in its neighbours.
    Raises TestbedError when transformers cannot read the file, it lacks weights, or there is not
    enough memory for all of them in float32.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # what is missing, we say
    with redirect_stderr(StringIO()):  # its progress bars lack a switch, and we show our own
        try:
            reader = GGUFReader(gguf)
            if scales := [each.name for each in reader.tensors if is_scale(each.name)]:
                raise TestbedError(
                    f"The GGUF file has {scales[0]}, a scale beside its tensors, which is not "
                    "read; take one that is quantised otherwise, such as Q8_0 or Q4_K."
                )
            numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
            require_room(BYTES["fp32"] * numbers, "Converting the GGUF file to float32")
            model, tokenizer = _read(gguf, _splitting(reader))
        except TestbedError:
            raise
        except Exception as error:  # each architecture's reader fails in its own way
            raise TestbedError(
                f"Cannot convert the GGUF file ({first_line(error)}); "
                "allowed are GGUF files of causal models that transformers can read."
            ) from error
        # transformers refuses to save what came from GGUF, though all of it is plain float32 now.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(into)
        tokenizer.save_pretrained(into)


def _read(gguf: Path, splitting: str) -> tuple[Any, Any]:
    causal: Any = AutoModelForCausalLM  # its declared type forgets output_loading_info
    model, report = causal.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:  # transformers makes up random numbers for them
        raise TestbedError(
            f"The GGUF file lacks {len(report['missing_keys'])} of its model's tensors, such as "
            f"{min(report['missing_keys'])}; take one that is whole."
        )
    tokenizer = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    if splitting == "smollm":
        # transformers 5.23 drops SmolLM's digit rule, without which "\n\n1." is cut differently
        # from the text that the model was trained on.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return model, tokenizer


def _splitting(reader: GGUFReader) -> str:
    """Name of the rule that splits a text before the merges apply."""
    field = reader.get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())
