#!/usr/bin/env python3
"""Measure a draft: its expected acceptance on prompts, and the cost of a token.

    python scripts/measure_draft.py [PROMPTS.jsonl ...] [--draft MODEL] [--temperature 1] [--chat]

For each prompt the target writes a text at the temperature, without a filter, in fp32. Expected
acceptance is the mean of Σ min(p, q) over the tokens written, the draft in its own type (int8, if
it is the default one). A token's cost is the median of
single-token passes behind 128 tokens, draft and target in turn. Without files, the prompts are
those of scripts/prompts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import msgspec
import numpy as np

from testbed.decoding.sampling import Sampling, distribution
from testbed.models.base import Model
from testbed.models.hf.tokenizer import Tokenizer
from testbed.models.load import load_model
from testbed.models.spec import Dtype, HuggingFaceSpec
from testbed.models.store.catalog import DEFAULT_DRAFT, resolve
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.models.vocabulary import require_same_vocabulary
from testbed.prompts.file import File

PROMPTS = Path(__file__).parent / "prompts"
BEHIND, PASSES = 128, 40


def main() -> None:
    """Measure, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prompts", type=Path, nargs="*", default=sorted(PROMPTS.glob("*.jsonl")))
    parser.add_argument("--target", default=DEFAULT_MODEL)
    parser.add_argument("--draft", default=DEFAULT_DRAFT)
    parser.add_argument("--tokens", type=int, default=64, help="of a text (default 64)")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--chat", action="store_true", help="prompts as turns of a chat")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    specs = resolve(args.target), resolve(args.draft)
    text, other = (Tokenizer(Path(spec.path), spec.name) for spec in specs)
    require_same_vocabulary(text.vocabulary, other.vocabulary, args.target, args.draft)
    pair = load(specs, "fp32", os.cpu_count() or 1)
    random, means = np.random.default_rng(args.seed), list[float]()
    for path in args.prompts:
        begun = len(means)
        for prompt in File(file=str(path.resolve())).texts(path.parent, args.seed):
            tokens = text.encode_chat(prompt) if args.chat else text.encode(prompt)
            means.append(acceptance(pair, tokens, args.tokens, args.temperature, random))
        print(f"  {statistics.mean(means[begun:]):.3f}  {path.name}", flush=True)
    error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else float("nan")
    print(
        f"expected acceptance at temperature {args.temperature:g}: {statistics.mean(means):.3f}, "
        f"standard error over {len(means)} prompts {error:.3f}"
    )
    for dtype in ("fp32", "bf16"):
        for threads in range(1, (os.cpu_count() or 1) + 1):
            target, draft = costs(load(specs, dtype, threads))
            print(
                f"{threads} threads: target in {dtype} {target:.1f} ms a token, "
                f"draft {draft:.1f}, ratio {draft / target:.2f}",
                flush=True,
            )


def load(specs: tuple[HuggingFaceSpec, ...], dtype: Dtype, threads: int) -> tuple[Model, ...]:
    """Target, in this type, and draft, in its own."""
    target, draft = (msgspec.structs.replace(spec, threads=threads) for spec in specs)
    target = msgspec.structs.replace(target, dtype=dtype)
    return load_model(target, "target"), load_model(draft, "draft")


def acceptance(
    pair: tuple[Model, ...],
    prompt: list[int],
    tokens: int,
    temperature: float,
    random: np.random.Generator,
) -> float:
    """Mean of Σ min(p, q) over a text of so many tokens that the target writes."""
    sessions, sampling = [model.session() for model in pair], Sampling(temperature)
    new, overlaps = prompt, list[float]()
    for _ in range(tokens):
        p, q = (distribution(session.extend(new, keep=1)[-1], sampling) for session in sessions)
        overlaps.append(float(np.minimum(p, q).sum()))
        new = [int(random.choice(p.size, p=p))]
    return statistics.mean(overlaps)


def costs(models: tuple[Model, ...]) -> list[float]:
    """Milliseconds that a single token takes with each model."""
    sessions = [model.session() for model in models]
    for session in sessions:
        session.extend([1] * BEHIND, keep=1)
    seconds: list[list[float]] = [[] for _ in sessions]
    for _ in range(PASSES):
        for session, times in zip(sessions, seconds, strict=True):
            began = time.perf_counter()
            session.extend([1])
            times.append(time.perf_counter() - began)
            session.rollback(BEHIND)
    return [statistics.median(times) * 1e3 for times in seconds]


if __name__ == "__main__":
    main()
