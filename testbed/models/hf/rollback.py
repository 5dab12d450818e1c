"""Which models can forget the end of a text, and the proof that one does.

A rejected draft is cut out of the cache. That is exact where every layer keeps the keys and values
of each token read, and nothing else of the text is kept anywhere. The cache is therefore always
made of layers that keep all of them: full attention needs them, a sliding or chunked window masks
those it may not see, by their positions. A recurrent state mixes all tokens and cannot be cut.

What transformers says of a model's layers is not enough (it calls those of RWKV full attention), so
the model itself is tried, too. Importing this loads torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from transformers import DynamicCache

from testbed.errors import TestbedError

Forward: TypeAlias = Callable[[torch.Tensor, DynamicCache, int], torch.Tensor]
"""Reads tokens after a cache, which grows; returns the logits after each of the last so many."""

# Full attention, a window or chunks, and keys shared with an earlier layer; by name, as early
# versions of transformers 5 do not have them all.
_KEYS_OF_TOKENS = {"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"}
_TOLERANCE = 1e-3  # of the largest logit; the passes compared are the same, so it should be 0
_START, _OTHER, _NEXT = (torch.tensor(ids) for ids in ([1, 2, 3], [7, 6, 5, 4], [4, 5, 6, 7]))


def require_keys_of_tokens(config: Any, name: str) -> None:
    """Raise TestbedError when the configuration has layers that keep no keys of single tokens."""
    layers = DynamicCache(config=config).layers
    if any(type(layer).__name__ not in _KEYS_OF_TOKENS for layer in layers):
        raise _cannot(name, config.model_type)


def new_cache() -> DynamicCache:
    """An empty cache that keeps the keys of every token in every layer."""
    return DynamicCache()


def cut(cache: DynamicCache, surplus: int) -> None:
    """Forget the last `surplus` tokens."""
    if surplus:  # crop(0) once emptied the cache, and crop to a length raises since 5.20
        cache.crop(-surplus)


def prove_rollback(forward: Forward, name: str, kind: str) -> None:
    """Raise TestbedError unless a text that is cut back and read on leaves no trace of the cut.

    Both times the model reads `_NEXT` after `_START`, in the same passes, so that even a low
    precision rounds alike.
    """
    cache = new_cache()
    forward(_START, cache, 1)
    clean = forward(_NEXT, cache, 1)
    if clean.isnan().any() or clean.isposinf().any():
        raise TestbedError(
            f"Model '{name}' computes NaN or infinity in this dtype; fp32 and bf16 have the range "
            "that fp16 lacks."
        )
    layers: list[Any] = cache.layers
    lengths = {int(layer.keys.shape[-2]) for layer in layers if layer.is_initialized}
    if lengths != {len(_START) + len(_NEXT)}:
        raise _cannot(name, kind)
    cache = new_cache()
    forward(_START, cache, 1)
    forward(_OTHER, cache, 1)
    cut(cache, len(_OTHER))
    again = forward(_NEXT, cache, 1)
    seen = clean.isfinite()
    if (again[seen] - clean[seen]).abs().max() > _TOLERANCE * clean[seen].abs().max():
        raise _cannot(name, kind)


def _cannot(name: str, kind: str) -> TestbedError:
    return TestbedError(
        f"Model '{name}' ({kind}) has recurrent layers, whose state cannot be rolled back; "
        "allowed are models that attend to the keys of single tokens."
    )
