"""Descriptions of models: plain data, sent to node processes as JSON."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["target", "draft"]
Dtype: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
"""Type of the weights. int8 is for the CPU and for matrices only (testbed.models.cpu.int8)."""
GgufType: TypeAlias = Literal["f32", "f16", "q8_0", "q4_0"]
"""Type of the matrices in a GGUF file that is written here."""
Device: TypeAlias = Literal[
    "cpu", "auto", "cuda",
    "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7",
]  # fmt: skip


class SyntheticSpec(msgspec.Struct, frozen=True, tag="synthetic", forbid_unknown_fields=True):
    """One of a pair of synthetic models; target and draft have equal fields but for `name`."""

    vocabulary_size: int
    """V, 2 or more."""
    acceptance: float | tuple[float, ...]
    """α, the probability that the target accepts a drafted token, in (0, 1].

    With several α, each context has one of them, and the distributions are sharper for each later
    one.
    """
    seed: int = 0
    name: str = "synthetic"
    greedy_acceptance: float | None = None
    """Share of contexts in which both models have the same likeliest token; None: as α gives."""


class OperatorChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choice between plain layers and an operator that only some processors have.

    The two round differently, so the choice is made once and kept for the whole run.
    """

    from_tokens: int | None
    """Passes over this many tokens or more use the operator; None: no pass uses it."""
    why: str
    """Reason for the choice, in words."""
    machine: str
    """Result of testbed.models.cpu.operators.machine where the choice was made."""
    passes: tuple[tuple[int, float, float], ...] = ()
    """Measured passes: tokens, ms with plain layers, ms with the operator."""


class HuggingFaceSpec(msgspec.Struct, frozen=True, tag="huggingface", forbid_unknown_fields=True):
    """A causal model in a local directory; made by testbed.models.store.catalog.resolve."""

    path: str
    name: str
    dtype: Dtype = "fp32"
    without_layers: tuple[int, ...] = ()
    """Indices of the decoder layers to leave out."""
    threads: int | None = None
    """CPU threads of the whole process; None keeps torch's default."""
    device: Device = "cpu"
    """Device it runs on; auto spreads it over all GPUs by the device map of transformers."""
    operators: OperatorChoice | None = None
    """None before the choice, and where there is no operator to choose."""

    @property
    def has_choice(self) -> bool:
        """True if there is an operator to choose for this device and type."""
        return self.device == "cpu" and self.dtype != "fp16"


class GgufSpec(msgspec.Struct, frozen=True, tag="gguf", forbid_unknown_fields=True):
    """A causal model in a GGUF file, run by llama.cpp in the types that the file has."""

    path: str
    name: str
    threads: int | None = None
    """CPU threads of a pass; None for as many as this process may use processors."""
    device: Device = "cpu"
    """Device it runs on; auto spreads it over all GPUs."""
    block_tv: float | None = None
    """Distance of a block's distributions from those of single tokens on this machine.

    TV at temperature 1, the largest of some positions (testbed.models.block_difference). None
    before it is measured."""


FileSpec: TypeAlias = HuggingFaceSpec | GgufSpec
"""A model with weights."""


class ServedSpec(msgspec.Struct, frozen=True, tag="served", forbid_unknown_fields=True):
    """A target behind a server that speaks vLLM's completions protocol."""

    address: str
    """unix:/path/to/socket or http://host:port."""
    text: FileSpec
    """The model of which the tokenizer is read here, and nothing else."""

    @property
    def name(self) -> str:
        """Name in messages to the user."""
        return self.text.name


ModelSpec: TypeAlias = SyntheticSpec | FileSpec | ServedSpec
