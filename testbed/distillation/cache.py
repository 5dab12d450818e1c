"""Key-value cache of fixed capacity. Importing this loads torch."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from typing_extensions import override

from testbed.errors import TestbedError


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room
        self._length = 0

    @override
    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **more: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Returns views of all states so far, [B, heads, n, width] each.
        if not self._length:
            batch, heads, _, width = key_states.shape
            self._all = key_states.new_empty(2, batch, heads, self._room, width)
            self.is_initialized = True
        end = self._length + key_states.shape[2]
        self._all[0, :, :, self._length : end] = key_states
        self._all[1, :, :, self._length : end] = value_states
        self._length = end
        self.keys, self.values = self._all[0, :, :, :end], self._all[1, :, :, :end]
        return self.keys, self.values


def fixed_cache(config: PretrainedConfig, room: int) -> Cache:
    """Return an empty cache for texts of up to `room` tokens.

    The cache of transformers copies all states at each token, which takes a third of the time of a
    large batch. Raises TestbedError for a network with layers that do not attend to the whole text.
    """
    if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=config).layers):
        raise TestbedError(
            f"the model ({config.model_type}) has sliding-window or recurrent layers; "
            "allowed are models with full attention in every layer"
        )
    return Cache(layers=[_Layer(room) for _ in range(config.num_hidden_layers)])
