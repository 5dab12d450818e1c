"""Backends that run a network of transformers, as it is or by its operators alone.

Importing this loads torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, LlamaForCausalLM
from typing_extensions import override

from testbed.errors import TestbedError
from testbed.models.causal_lm import CausalLM, Replace
from testbed.models.cpu.int8 import to_int8, to_plain_int8
from testbed.models.cpu.linear_layers import ByTokens, Crossing, replace_linears
from testbed.models.cpu.llama import Llama
from testbed.models.cpu.reordered import ReorderedLinear
from testbed.models.hf.rollback import crop, new_cache
from testbed.models.spec import Device, Dtype

_FIXED_ROTATIONS = {"default", "linear", "llama3"}
"""Types of rotary position encoding that do not depend on the length of the sequence."""
_PROBE = 3, 4  # tokens of the two passes of `_probe`
_TOLERANCE: dict[Dtype, float] = {"fp32": 1e-3, "int8": 1e-3, "bf16": 0.2}
"""Largest allowed distance from the logits of transformers, as a share of their own spread.

With int8 the matrices are still in fp32 when this is measured.
"""


class TransformersBackend(CausalLM):
    """A network run by the forward pass of transformers."""

    def __init__(self, network: Any) -> None:
        self._network = network
        embedding = network.get_input_embeddings().weight
        # Offloaded weights have no device until they are used; their layers move inputs themselves.
        self._device = torch.device("cpu") if embedding.is_meta else embedding.device

    @override
    def new_cache(self) -> DynamicCache:
        return new_cache()

    @override
    def length(self, cache: DynamicCache) -> int:
        return int(cache.get_seq_length())

    @override
    def crop(self, cache: DynamicCache, surplus: int) -> None:
        crop(cache, surplus)

    @override
    def forward(self, tokens: torch.Tensor, cache: DynamicCache, keep: int) -> torch.Tensor:
        out = self._network(
            tokens[None].to(self._device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: torch.Tensor = out.logits[0]
        return logits

    @override
    def replace(self, by: Replace) -> None:
        replace_linears(self._network, by)


def fastest_backend(
    network: Any, name: str, dtype: Dtype, device: Device, operator_from: int | None
) -> CausalLM:
    """Return the fastest backend of `network` on this machine.

    `network` must not be used otherwise from now on. Passes over `operator_from` tokens or more
    multiply by the operator of `operators`; None: no pass does. Raises TestbedError when the
    backend computes other logits than transformers.
    """
    backend = plain_backend(network, name, dtype, device)
    plain, operator = operators(dtype)
    if operator_from is None:
        backend.replace(plain)
    elif operator_from == 1:
        backend.replace(operator)
    else:
        crossing = Crossing(operator_from)
        backend.replace(lambda linear: ByTokens(plain(linear), operator(linear), crossing))
    return backend


def operators(dtype: Dtype) -> tuple[Replace, Replace]:
    """Return two functions that convert a linear layer of this type: plain, and with an operator.

    The operator may be faster. It is a private one of torch that some processors lack, so
    testbed.models.operator_trial tries it first.
    """
    if dtype == "int8":
        return to_plain_int8, to_int8
    return _unchanged, ReorderedLinear


def plain_backend(network: Any, name: str, dtype: Dtype, device: Device) -> CausalLM:
    """Return a backend with plain layers: testbed.models.cpu.llama for a Llama on a CPU.

    All other networks are run by transformers. Raises TestbedError when the Llama backend computes
    other logits than transformers.
    """
    whole = TransformersBackend(network)
    if device != "cpu" or dtype == "fp16" or not _is_llama(network):
        return whole
    vocabulary_size = network.config.vocab_size
    wanted = _probe(whole, vocabulary_size)
    llama = Llama(network)
    difference = (_probe(llama, vocabulary_size) - wanted).float()
    if not difference.norm() <= _TOLERANCE[dtype] * (wanted - wanted.mean()).float().norm():
        raise TestbedError(
            f"model '{name}' computes other logits on this processor than transformers "
            f"(off by up to {difference.abs().max():.3g}), so it cannot be used"
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
    """Return the last logits of each of two passes over a short sequence, [2, V or more].

    Its tokens are spread over the whole vocabulary: the first ids are mostly special tokens, for
    which bf16 logits can be far off in every implementation.
    """
    first, second = _PROBE
    text = torch.arange(1, first + second + 1) * vocabulary_size // (first + second + 1)
    cache = network.new_cache()
    return torch.cat([network.forward(some, cache, 1) for some in (text[:first], text[first:])])
