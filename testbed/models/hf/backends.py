"""How a network of transformers is run: by itself, or taken to pieces. Importing loads torch."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from transformers import DynamicCache, LlamaForCausalLM

from testbed.errors import TestbedError
from testbed.models.cpu.int8 import to_int8, to_plain_int8
from testbed.models.cpu.linear_layers import ByTokens, Crossing, Replace, replace_linears
from testbed.models.cpu.llama import Llama
from testbed.models.cpu.reordered import ReorderedLinear
from testbed.models.hf.rollback import cut, new_cache
from testbed.models.spec import Device, Dtype

_FIXED_ROTATIONS = {"default", "linear", "llama3"}
"""Kinds of position encoding that are the same for texts of any length."""
_PROBE = 3, 4  # tokens of two passes
_APART: dict[Dtype, float] = {"fp32": 1e-3, "int8": 1e-3, "bf16": 0.2}
"""The largest distance of logits from those of transformers, as a share of their own spread.

With int8 matrices are in fp32 when this is measured.
"""


class CausalLM(Protocol):
    """Something that reads tokens and keeps what it needs of them in a cache."""

    def new_cache(self) -> Any:
        """An empty cache."""

    def length(self, cache: Any) -> int:
        """Tokens in a cache."""

    def cut(self, cache: Any, surplus: int) -> None:
        """Forget the last `surplus` tokens."""

    def forward(self, tokens: torch.Tensor, cache: Any, keep: int) -> torch.Tensor:
        """Read `tokens`, [M]; logits after each of the last `keep`, [keep, V or more]."""

    def replace(self, by: Replace) -> None:
        """Put something else in the place of every linear layer."""


class TransformersBackend:
    """A network as transformers runs it."""

    def __init__(self, network: Any) -> None:
        self._network = network
        embedding = network.get_input_embeddings().weight
        # Offloaded weights are nowhere until they are used; whatever uses them fetches its input.
        self._device = torch.device("cpu") if embedding.is_meta else embedding.device

    def new_cache(self) -> DynamicCache:
        """See CausalLM."""
        return new_cache()

    def length(self, cache: DynamicCache) -> int:
        """See CausalLM."""
        return int(cache.get_seq_length())

    def cut(self, cache: DynamicCache, surplus: int) -> None:
        """See CausalLM."""
        cut(cache, surplus)

    def forward(self, tokens: torch.Tensor, cache: DynamicCache, keep: int) -> torch.Tensor:
        """See CausalLM."""
        out = self._network(
            tokens[None].to(self._device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: torch.Tensor = out.logits[0]
        return logits

    def replace(self, by: Replace) -> None:
        """Put something else in the place of every linear layer."""
        replace_linears(self._network, by)


def fastest_backend(
    network: Any, name: str, dtype: Dtype, device: Device, operator_from: int | None
) -> CausalLM:
    """The quickest way to run `network` here, which must not be used otherwise from now on.

    Passes over `operator_from` tokens and more multiply by the operator of `operators`.
    Raises TestbedError when that does not compute what transformers does.
    """
    taken = taken_apart(network, name, dtype, device)
    plain, operator = operators(dtype)
    if operator_from is None:
        taken.replace(plain)
    elif operator_from == 1:
        taken.replace(operator)
    else:
        crossing = Crossing(operator_from)
        taken.replace(lambda linear: ByTokens(plain(linear), operator(linear), crossing))
    return taken


def operators(dtype: Dtype) -> tuple[Replace, Replace]:
    """Makers of the plain layer of a type, and of the one with an operator that may be faster.

    The operators are private ones of torch, which some processors lack: see
    testbed.models.operator_trial.
    """
    if dtype == "int8":
        return to_plain_int8, to_int8
    return _unchanged, ReorderedLinear


def taken_apart(network: Any, name: str, dtype: Dtype, device: Device) -> CausalLM:
    """`network` with as little around its operators as possible: on a CPU a Llama in pieces.

    Raises TestbedError when that does not compute what transformers does.
    """
    whole = TransformersBackend(network)
    if device != "cpu" or dtype == "fp16" or not _is_llama(network):
        return whole
    vocabulary_size = network.config.vocab_size
    wanted = _probe(whole, vocabulary_size)
    llama = Llama(network)
    apart = (_probe(llama, vocabulary_size) - wanted).float()
    if not apart.norm() <= _APART[dtype] * (wanted - wanted.mean()).float().norm():
        raise TestbedError(
            f"Model '{name}' computes something else here than in transformers "
            f"(logits are off by up to {apart.abs().max():.3g}), so it cannot be used."
        )
    return llama


def _unchanged(linear: nn.Linear) -> nn.Module:
    return linear


def _is_llama(network: Any) -> bool:
    return (
        type(network) is LlamaForCausalLM
        and network.config.hidden_act == "silu"
        and network.model.rotary_emb.rope_type in _FIXED_ROTATIONS
    )


@torch.inference_mode()
def _probe(network: CausalLM, vocabulary_size: int) -> torch.Tensor:
    """Logits at the end of two passes over a short text.

    Its tokens are from all over the vocabulary: those at the beginning are mostly special ones, on
    which bf16 can be far off, whoever computes.
    """
    first, second = _PROBE
    text = torch.arange(1, first + second + 1) * vocabulary_size // (first + second + 1)
    cache = network.new_cache()
    return torch.cat([network.forward(some, cache, 1) for some in (text[:first], text[first:])])
