"""The student: some layers of the target with its frozen embeddings and head.

Importing this loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from testbed.errors import TestbedError
from testbed.models.hf.layers import remove_layers
from testbed.models.packed_draft import PROPOSED
from testbed.models.spec import HuggingFaceSpec


def load_target(spec: HuggingFaceSpec, dtype: torch.dtype) -> Any:
    """Load the network that `spec` describes, with all its parameters frozen."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    network: Any = AutoModelForCausalLM.from_pretrained(
        spec.path, dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return network.eval().requires_grad_(False)


def make_student(spec: HuggingFaceSpec, layers: Sequence[int], proposed: int | None = None) -> Any:
    """Return the target's network in fp32 with the layers of these indices only.

    Its own parameters are trainable. `proposed` is the number of first ids that it proposes, None:
    all; it is stored in the configuration, and the head keeps its full length. Raises TestbedError
    when there is no such layer, or there are fewer ids.
    """
    network = load_target(spec, torch.float32)
    total = network.config.num_hidden_layers
    wrong = [index for index in layers if not 0 <= index < total]
    if wrong:
        raise TestbedError(
            f"model '{spec.name}' has no layer {wrong[0]}; it has layers 0 to {total - 1}"
        )
    if proposed is not None:
        ids = network.get_output_embeddings().out_features
        if not 1 <= proposed <= ids:
            raise TestbedError(
                f"a draft of '{spec.name}' cannot propose {proposed} ids; allowed are 1 to {ids}"
            )
        setattr(network.config, PROPOSED, proposed)
    remove_layers(network, set(range(total)) - set(layers), spec.name)
    for parameter in learnt(network).values():
        parameter.requires_grad_(True)
    return network


def learnt(student: Any) -> dict[str, torch.nn.Parameter]:
    """Return a student's own parameters by name: all but those of the embeddings and the head."""
    shared = {
        id(module.weight)
        for module in (student.get_input_embeddings(), student.get_output_embeddings())
    }
    return {
        name: parameter
        for name, parameter in student.named_parameters()
        if id(parameter) not in shared
    }
