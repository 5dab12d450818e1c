#!/usr/bin/env python3
"""Measures passes over few tokens in fp32 against transformers' own.

    python scripts/bench/passes.py

On an otherwise idle machine, with the default target and a node's share of the processors. Both
read the same tokens behind the same text, in turns; of each the median counts. Exits with 1 when a
limit is not met. ONEDNN_MAX_CPU_ISA=AVX2 and ATEN_CPU_CAPABILITY=avx2 in the environment make it
one of a lesser processor.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import torch
from limits import BenchResult, command

from testbed.host.environment import threads_per_node
from testbed.models.causal_lm import CausalLM
from testbed.models.cpu.operators import with_operators
from testbed.models.hf.backends import TransformersBackend
from testbed.models.hf.model import HuggingFaceModel, load_network
from testbed.models.store.catalog import resolve
from testbed.models.store.fetch import DEFAULT_MODEL

LENGTHS = (1, 2, 3, 5, 8)
BEHIND, TIMES = 64, 15  # tokens that passes stand behind, and passes of each length
SLOWER = 1.05


def bench_passes() -> Iterator[BenchResult]:
    """By the operators that are chosen for this machine."""
    spec = with_operators(
        msgspec.structs.replace(resolve(DEFAULT_MODEL), threads=threads_per_node())
    )
    assert spec.operators is not None
    ours = HuggingFaceModel(
        spec.path, spec.name, threads=spec.threads, operator_from=spec.operators.from_tokens
    ).network
    theirs = TransformersBackend(load_network(Path(spec.path), spec.name, "fp32", (), "cpu"))
    for tokens in LENGTHS:
        took = medians([ours, theirs], tokens)
        yield BenchResult(
            f"fp32 over {tokens} token{'s' * (tokens > 1)}: our time over transformers'",
            took[0] / took[1],
            SLOWER,
            "",
            f"{took[0] * 1e3:.1f} and {took[1] * 1e3:.1f} ms; {spec.operators.why}",
        )


@torch.inference_mode()
def medians(networks: list[CausalLM], tokens: int) -> list[float]:
    """Seconds of a pass of each."""
    text = torch.arange(1, BEHIND + tokens + 1)
    caches = [network.new_cache() for network in networks]
    for network, cache in zip(networks, caches, strict=True):
        network.forward(text[:BEHIND], cache, 1)
    rounds = []
    for _ in range(TIMES + 1):
        rounds.append([timed(*each, text[BEHIND:]) for each in zip(networks, caches, strict=True)])
    return [statistics.median(each) for each in zip(*rounds[1:], strict=True)]  # the first warms


def timed(network: CausalLM, cache: object, text: torch.Tensor) -> float:
    """Seconds of a pass, which is rolled back."""
    began = time.perf_counter()
    network.forward(text, cache, len(text))
    took = time.perf_counter() - began
    network.crop(cache, len(text))
    return took


if __name__ == "__main__":
    command(__doc__, {"passes": bench_passes})
