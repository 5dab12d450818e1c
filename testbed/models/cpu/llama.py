"""Llama's forward pass on a CPU with nothing around it. Importing this loads torch.

A pass over a few tokens computes little, so that half of its time went into what a library does
around its operators. Here are the operators alone, with queries, keys and values, and gate and up,
as one matrix each. The network is transformers' own, taken to pieces; that both compute the same is
checked when it is (testbed.models.hf.backends).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import embedding, rms_norm, scaled_dot_product_attention, silu

from testbed.models.cpu.linear_layers import Replace

_ROOM = 128
"""Tokens that a cache has room for at first; it is doubled when it is full."""


@dataclass
class LlamaCache:
    """Keys and values of a text's first `length` tokens, [2, heads, room, width] a layer."""

    layers: list[torch.Tensor]
    length: int = 0

    @property
    def room(self) -> int:
        """Tokens that there is room for."""
        return self.layers[0].shape[2]

    def make_room(self, tokens: int) -> None:
        """Let at least so many tokens in all fit."""
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


class Llama:
    """A network of the family, as a function of tokens and a cache."""

    def __init__(self, network: Any) -> None:
        """Takes `network` to pieces."""
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
        self._turns = torch.empty(2, 0, self._width)

    def replace(self, by: Replace) -> None:
        """Put something else in the place of every matrix, one after the other."""
        for layer in self._layers:
            for name in ("qkv", "out", "gate_up", "down"):
                setattr(layer, name, by(getattr(layer, name)))
        self._head = by(self._head)

    def new_cache(self) -> LlamaCache:
        """Of no text yet."""
        shape = (2, self._kv_heads, _ROOM, self._width)
        return LlamaCache([self._embedding.new_empty(shape) for _ in self._layers])

    def length(self, cache: LlamaCache) -> int:
        """Tokens in a cache."""
        return cache.length

    def cut(self, cache: LlamaCache, surplus: int) -> None:
        """Forget the last `surplus` tokens."""
        cache.length -= surplus

    def forward(self, tokens: torch.Tensor, cache: LlamaCache, keep: int) -> torch.Tensor:
        """Read `tokens`, [M]; logits after each of the last `keep` of them, [keep, V]."""
        begin, end = cache.length, cache.length + len(tokens)
        cache.make_room(end)
        cos, sin = self._turned(begin, end)
        # All of one token and of a text's beginning is seen; of what follows a part.
        mask = None
        if begin and len(tokens) > 1:
            mask = torch.ones(len(tokens), end, dtype=torch.bool).tril(begin)
        x = embedding(tokens, self._embedding)
        for layer, kv in zip(self._layers, cache.layers, strict=True):
            h = rms_norm(x, layer.norm.shape, layer.norm, self._eps)
            qkv = layer.qkv(h).view(len(tokens), -1, self._width).transpose(0, 1)
            turned = qkv[: self._heads + self._kv_heads]
            half = torch.cat(
                (-turned[..., self._width // 2 :], turned[..., : self._width // 2]), -1
            )
            turned = turned * cos + half * sin
            kv[0, :, begin:end] = turned[self._heads :]
            kv[1, :, begin:end] = qkv[self._heads + self._kv_heads :]
            seen = scaled_dot_product_attention(
                turned[None, : self._heads],
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

    def _turned(self, begin: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of the angles of these positions, [M, width]."""
        if self._turns.shape[1] < end:
            places = torch.arange(2 * end, dtype=torch.float32)
            angles = torch.outer(places, self._frequencies.float()).repeat(1, 2)
            self._turns = torch.stack([angles.cos(), angles.sin()]) * self._scale
            self._turns = self._turns.to(self._embedding.dtype)
        return self._turns[0, begin:end], self._turns[1, begin:end]


def _joined(parent: Any, *names: str) -> Any:
    """Linear layers of a module as one, with their outputs side by side; takes them out of it."""
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
