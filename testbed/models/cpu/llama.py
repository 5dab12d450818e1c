"""Llama's forward pass on a CPU by its operators alone. Importing this loads torch.

A pass over a few tokens computes so little that half of its time in transformers went into code
around the operators. Here only the operators remain; queries, keys and values share one matrix, and
so do gate and up. The weights are taken from a network of transformers, and
testbed.models.hf.backends checks that both compute the same logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import embedding, rms_norm, scaled_dot_product_attention, silu
from typing_extensions import override

from testbed.models.causal_lm import CausalLM, Replace

_ROOM = 128
"""Tokens that a new cache has room for; a full cache doubles."""


@dataclass
class LlamaCache:
    """Keys and values of the first `length` tokens; [2, heads, room, width] for each layer."""

    layers: list[torch.Tensor]
    length: int = 0

    @property
    def room(self) -> int:
        """Number of tokens that fit."""
        return self.layers[0].shape[2]

    def make_room(self, tokens: int) -> None:
        """Grow until at least `tokens` tokens fit."""
        while self.room < tokens:
            self.layers = [torch.cat([kv, torch.empty_like(kv)], 2) for kv in self.layers]


@dataclass
class _Layer:
    norm: torch.Tensor
    qkv: Any
    out: Any
    second_norm: torch.Tensor
    gate_up: Any
    down: Any


class Llama(CausalLM):
    """A network of the Llama family."""

    def __init__(self, network: Any) -> None:
        """Take the weights of `network`, which must not be used afterwards."""
        config, model = network.config, network.model
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = model.layers[0].self_attn.head_dim
        self._eps = config.rms_norm_eps
        self._embedding = model.embed_tokens.weight.detach()
        self._norm = model.norm.weight.detach()
        self._head = _joined(network, "lm_head")
        self._layers = [
            _Layer(
                layer.input_layernorm.weight.detach(),
                _joined(layer.self_attn, "q_proj", "k_proj", "v_proj"),
                _joined(layer.self_attn, "o_proj"),
                layer.post_attention_layernorm.weight.detach(),
                _joined(layer.mlp, "gate_proj", "up_proj"),
                _joined(layer.mlp, "down_proj"),
            )
            for layer in model.layers
        ]
        rotary = model.rotary_emb
        self._frequencies, self._scale = rotary.inv_freq.detach(), rotary.attention_scaling
        self._rotations = torch.empty(2, 0, self._width)  # cosines and sines by position

    @override
    def replace(self, by: Replace) -> None:
        for layer in self._layers:
            for name in ("qkv", "out", "gate_up", "down"):
                setattr(layer, name, by(getattr(layer, name)))
        self._head = by(self._head)

    @override
    def new_cache(self) -> LlamaCache:
        shape = (2, self._kv_heads, _ROOM, self._width)
        return LlamaCache([self._embedding.new_empty(shape) for _ in self._layers])

    @override
    def length(self, cache: LlamaCache) -> int:
        return cache.length

    @override
    def crop(self, cache: LlamaCache, surplus: int) -> None:
        cache.length -= surplus

    @override
    def forward(self, tokens: torch.Tensor, cache: LlamaCache, keep: int) -> torch.Tensor:
        begin, end = cache.length, cache.length + len(tokens)
        cache.make_room(end)
        cos, sin = self._rotations_of(begin, end)
        # A single token sees the whole cache, and a first pass is causal; other passes need a mask.
        mask = None
        if begin and len(tokens) > 1:
            mask = torch.ones(len(tokens), end, dtype=torch.bool).tril(begin)
        x = embedding(tokens, self._embedding)
        for layer, kv in zip(self._layers, cache.layers, strict=True):
            h = rms_norm(x, layer.norm.shape, layer.norm, self._eps)
            qkv = layer.qkv(h).view(len(tokens), -1, self._width).transpose(0, 1)
            rotated = qkv[: self._heads + self._kv_heads]
            half = torch.cat(
                (-rotated[..., self._width // 2 :], rotated[..., : self._width // 2]), -1
            )
            rotated = rotated * cos + half * sin
            kv[0, :, begin:end] = rotated[self._heads :]
            kv[1, :, begin:end] = qkv[self._heads + self._kv_heads :]
            seen = scaled_dot_product_attention(
                rotated[None, : self._heads],
                kv[None, 0, :, :end],
                kv[None, 1, :, :end],
                attn_mask=mask,
                is_causal=not begin and len(tokens) > 1,
                enable_gqa=True,
            )
            x = x + layer.out(seen[0].transpose(0, 1).reshape(len(tokens), -1))
            h = rms_norm(x, layer.second_norm.shape, layer.second_norm, self._eps)
            gate, up = layer.gate_up(h).chunk(2, -1)
            x = x + layer.down(silu(gate) * up)
        cache.length = end
        last = rms_norm(x[len(x) - keep :], self._norm.shape, self._norm, self._eps)
        logits: torch.Tensor = self._head(last)
        return logits

    def _rotations_of(self, begin: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosine and sine of the angles of positions `begin` to `end`, [M, width] each."""
        if self._rotations.shape[1] < end:
            positions = torch.arange(2 * end, dtype=torch.float32)
            angles = torch.outer(positions, self._frequencies.float()).repeat(1, 2)
            self._rotations = torch.stack([angles.cos(), angles.sin()]) * self._scale
            self._rotations = self._rotations.to(self._embedding.dtype)
        return self._rotations[0, begin:end], self._rotations[1, begin:end]


def _joined(parent: Any, *names: str) -> Any:
    """Join linear layers of a module into one with concatenated outputs; remove them from it."""
    parts: list[nn.Linear] = [getattr(parent, name) for name in names]
    for name in names:
        setattr(parent, name, None)
    first = parts[0]
    if len(parts) == 1:
        return first
    weight = torch.cat([part.weight.detach() for part in parts])
    rows, columns = weight.shape
    joined = nn.Linear(columns, rows, bias=first.bias is not None, device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    if first.bias is not None:
        bias = torch.cat([part.bias.detach() for part in parts])
        joined.bias = nn.Parameter(bias, requires_grad=False)
    return joined
