"""Removal of decoder layers, which makes a cheaper draft of a model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from testbed.errors import TestbedError


def remove_layers(model: PreTrainedModel, without: Collection[int], name: str) -> None:
    """Remove the decoder layers with these indices from `model`, in place.

    Raises TestbedError when there is no such layer, none would remain, or the model does not keep
    its layers in a list as most models of transformers do.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise TestbedError(
            f"model '{name}' ({model.config.model_type}) has no list of decoder layers, so none "
            "can be left out; allowed are models with such a list, like llama or qwen"
        )
    wrong = [index for index in without if not 0 <= index < len(layers)]
    if wrong:
        raise TestbedError(
            f"model '{name}' cannot leave out layer {wrong[0]}; it has layers 0 to "
            f"{len(layers) - 1}"
        )
    kept = [index for index in range(len(layers)) if index not in without]
    if not kept:
        raise TestbedError(f"model '{name}' leaves out all its layers; at least one must remain")
    model.base_model.layers = nn.ModuleList(layers[index] for index in kept)
    for position, index in enumerate(kept):
        module: Any
        for module in layers[index].modules():
            if hasattr(module, "layer_idx"):  # the layer's index in the cache
                module.layer_idx = position
    model.config.num_hidden_layers = len(kept)
    types = getattr(model.config, "layer_types", None)
    if types is not None:
        model.config.layer_types = [types[index] for index in kept]
