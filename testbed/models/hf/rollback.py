"""Rollback of a key-value cache, and the checks that a model supports it.

A rejected draft is removed from the cache. This is exact if every layer keeps the keys and values
of each token, and the model keeps nothing else of the sequence. So the cache always consists of
layers that keep all keys: full attention needs all of them, and a sliding or chunked window masks
by position those that it must not see. A recurrent state mixes all tokens and cannot be rolled
back.

The layer types that transformers reports are not enough (it reports RWKV's layers as full
attention), so the model itself is tested, too. Importing this loads torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from transformers import DynamicCache

from testbed.errors import TestbedError

Forward: TypeAlias = Callable[[torch.Tensor, DynamicCache, int], torch.Tensor]
"""Function of new tokens, a cache and n, as CausalLM.forward: adds the tokens to the cache and
returns the logits after each of the last n.
"""

# Full attention, a window or chunks, and keys shared with an earlier layer. By name, because early
# versions of transformers 5 lack some of these classes.
_KEYS_OF_TOKENS = {"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"}
_TOLERANCE = 1e-3  # of the largest logit; the passes compared are the same, so it should be 0
_START, _OTHER, _NEXT = (torch.tensor(ids) for ids in ([1, 2, 3], [7, 6, 5, 4], [4, 5, 6, 7]))


def require_keys_of_tokens(config: Any, name: str) -> None:
    """Raise TestbedError when the configuration has layers without keys of single tokens."""
    layers = DynamicCache(config=config).layers
    if any(type(layer).__name__ not in _KEYS_OF_TOKENS for layer in layers):
        raise _cannot(name, config.model_type)


def new_cache() -> DynamicCache:
    """Return an empty cache that keeps the keys of every token in every layer."""
    return DynamicCache()


def crop(cache: DynamicCache, surplus: int) -> None:
    """Remove the last `surplus` tokens from a cache."""
    if surplus:  # crop(0) once emptied the cache, and crop to a length raises since 5.20
        cache.crop(-surplus)


def prove_rollback(forward: Forward, name: str, kind: str) -> None:
    """Raise TestbedError unless logits after a rollback equal those without one.

    The model reads `_NEXT` after `_START` with and without a rollback in between, in passes of the
    same lengths, so that both round alike even in low precision.
    """
    cache = new_cache()
    forward(_START, cache, 1)
    clean = forward(_NEXT, cache, 1)
    if clean.isnan().any() or clean.isposinf().any():
        raise TestbedError(
            f"model '{name}' computes NaN or infinity in this dtype; fp32 and bf16 have the range "
            "that fp16 lacks"
        )
    layers: list[Any] = cache.layers
    lengths = {int(layer.keys.shape[-2]) for layer in layers if layer.is_initialized}
    if lengths != {len(_START) + len(_NEXT)}:
        raise _cannot(name, kind)
    cache = new_cache()
    forward(_START, cache, 1)
    forward(_OTHER, cache, 1)
    crop(cache, len(_OTHER))
    again = forward(_NEXT, cache, 1)
    seen = clean.isfinite()
    if (again[seen] - clean[seen]).abs().max() > _TOLERANCE * clean[seen].abs().max():
        raise _cannot(name, kind)


def _cannot(name: str, kind: str) -> TestbedError:
    return TestbedError(
        f"model '{name}' ({kind}) has recurrent layers, whose state cannot be rolled back; "
        "allowed are models that attend to the keys of single tokens"
    )
