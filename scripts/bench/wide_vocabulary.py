#!/usr/bin/env python3
"""Measures what one distribution costs on a vocabulary of today, 151,936 tokens.

    python scripts/bench/wide_vocabulary.py

Quantising, encoding and decoding one draft, and one race, as multiples of one np.log over as many
doubles, measured in turns with it. The median of all turns counts, and the slowest of the
distributions, normal logits of three spreads. Memory is kept as nodes keep it. Exits with 1 when a
limit is not met.

np.log is several times as fast where NumPy has AVX-512, and nothing else here is. So that ratios
can be compared, NumPy runs without it unless NPY_DISABLE_CPU_FEATURES says what to leave out. If
that is empty, nothing is left out, and the limits are not meant.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from limits import BenchResult, command
from numpy.lib.introspect import opt_func_info

from testbed.codecs.base import Drawn
from testbed.codecs.dense import Dense
from testbed.codecs.precisions import Precision, distribution_codec
from testbed.decoding.randomness import KeyedRandomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.host.allocator import keep_freed_memory

V, TURNS, SPREADS = 151_936, 60, (1.0, 3.0, 6.0)
CODECS: dict[Precision, float | None] = {
    "fixed16": None,
    "fixed32": 3,
    "fp32": None,
    "fp16": 3,
    "bf16": 2,
}
RACE = 4
LEFT_OUT = "NPY_DISABLE_CPU_FEATURES"


def bench_codecs() -> Iterator[BenchResult]:
    """All steps of one draft together; each of them is in the note."""
    for precision, limit in CODECS.items():
        codec = Dense(distribution_codec(precision), V)

        def steps(q: Probabilities, codec: Dense = codec) -> list[Callable[[], object]]:
            drafts = [Drawn(int(q.argmax()), codec.quantise(q))]
            data = codec.encode(drafts).data
            return [
                partial(codec.quantise, q),
                partial(codec.encode, drafts),
                partial(codec.decode, data, 1),
            ]

        yield slowest(f"{precision}: quantise, encode, decode", steps, limit)


def bench_race() -> Iterator[BenchResult]:
    """Over probabilities, as the verifier's, and over counts, as the device's."""
    race = KeyedRandomness(1, 0, "bench").race
    fine = Dense(distribution_codec("fixed32"), V)
    yield slowest("race over probabilities", lambda q: [partial(race, q, 1)], RACE)
    yield slowest("race over counts", lambda q: [partial(race, fine.quantise(q).counts, 1)], RACE)


def slowest(
    what: str, steps: Callable[[Probabilities], list[Callable[[], object]]], limit: float | None
) -> BenchResult:
    """Time all steps together, for the distribution for which they take longest."""
    found = {}
    for spread in SPREADS:
        logits = np.random.default_rng(1).normal(scale=spread, size=V)
        log, *times = in_turns(steps(distribution(logits, Sampling())))
        found[sum(times) / log] = f"{', '.join(f'{ms:.2f}' for ms in times)} ms; log {log:.2f} ms"
    return BenchResult(what, max(found), limit, "logs", found[max(found)])


def in_turns(steps: list[Callable[[], object]]) -> list[float]:
    """Median milliseconds of np.log, and of each step."""
    numbers = np.random.default_rng(0).uniform(1e-9, 1, V)
    every: list[Callable[[], object]] = [lambda: np.log(numbers), *steps]
    times: list[list[float]] = [[] for _ in every]
    for _ in range(TURNS):
        for step, taken in zip(every, times, strict=True):
            start = time.perf_counter()
            step()
            taken.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(taken) for taken in times]


def kernels() -> set[str]:
    """Names of the instruction sets that NumPy's functions of doubles use here."""
    found = opt_func_info(signature="float64").values()
    return {
        name for by_type in found for one in by_type.values() for name in one["current"].split()
    }


def main() -> None:
    """Run again without AVX-512 where that is to be left out, else measure."""
    avx512 = {name for name in kernels() if "AVX512" in name or name == "X86_V4"}
    if avx512 and LEFT_OUT not in os.environ:
        os.environ[LEFT_OUT] = " ".join(avx512)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    keep_freed_memory()
    print(f"V = {V}, one core; NumPy {np.__version__} with {', '.join(sorted(kernels()))}")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    command(__doc__, {"codecs": bench_codecs, "race": bench_race})


if __name__ == "__main__":
    main()
