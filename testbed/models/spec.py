"""Which model a node loads: plain data, sent to node processes as JSON."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["target", "draft"]
Dtype: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
"""int8: the matrices in 8 bits, on the CPU; see testbed.models.cpu.int8."""
Device: TypeAlias = Literal[
    "cpu", "auto", "cuda",
    "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7",
]  # fmt: skip


class SyntheticSpec(msgspec.Struct, frozen=True, tag="synthetic", forbid_unknown_fields=True):
    """One of a pair of synthetic models; target and draft have equal fields but for `name`."""

    vocabulary_size: int
    """V, from 2 up."""
    acceptance: float | tuple[float, ...]
    """α: probability that the target accepts a drafted token, in (0, 1]; or several, of which each
    context has one, the laws sharper from one to the next."""
    seed: int = 0
    name: str = "synthetic"
    greedy_acceptance: float | None = None
    """Share of contexts in which the likeliest tokens are the same; None leaves it to α."""


class OperatorChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choice between plain layers and an operator that not every processor has.

    Another choice rounds otherwise, so that one is kept for all of a run's life.
    """

    from_tokens: int | None
    """Passes over this many tokens or more use the operator; None: no pass does."""
    why: str
    """In words."""
    machine: str
    """The processor and what else decides which operators there are, see operators.machine."""
    passes: tuple[tuple[int, float, float], ...] = ()
    """Measured: tokens, ms of a pass by plain layers, ms of one by the operator."""


class HuggingFaceSpec(msgspec.Struct, frozen=True, tag="huggingface", forbid_unknown_fields=True):
    """A causal model in a local directory (see catalog.resolve)."""

    path: str
    name: str
    dtype: Dtype = "fp32"
    without_layers: tuple[int, ...] = ()
    """Indices of the decoder layers to leave out."""
    threads: int | None = None
    """CPU threads for the whole process; None leaves torch's choice."""
    device: Device = "cpu"
    """Where it runs; auto spreads it over all GPUs as transformers' own device map does."""
    operators: OperatorChoice | None = None
    """None: not chosen yet, or there is nothing to choose."""

    @property
    def has_choice(self) -> bool:
        """True where there is a choice between operators."""
        return self.device == "cpu" and self.dtype != "fp16"


ModelSpec: TypeAlias = SyntheticSpec | HuggingFaceSpec
