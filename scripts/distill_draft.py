#!/usr/bin/env python3
"""Distils a small draft from a target model, and packs it.

    python scripts/distill_draft.py --proposed 16384 [--layers 0,1,2,3,14,27,28,29] [--tokens 6e6]
                                    [--finish]
    python scripts/distill_draft.py --from testbed/models/data/….safetensors --tokens 1e7

The student is some of the target's layers under its embeddings and head, which stay as they are;
with --proposed N the head is cut to the first N ids, the commonest, and so is what it learns of.
It learns from texts that the target writes itself, question and answer, with nothing truncated,
at temperature 1, half of the answers at temperature 0: cross-entropy to the target's distribution
plus what the two do not share, 1 − Σ min(p, q). AdamW 6e-4 with weights in fp32, in batches of 5
texts of 256 tokens. New texts are written whenever the old ones have been trained on four times.

A run that ended or was killed goes on where its last checkpoint is when it is started again.
Four fifths of a run are at a constant rate, then the rate falls to zero. With --finish it
falls from the last checkpoint on, so that a run can be ended well at any time; that run itself can
still be continued later, without --finish. Where the checkpoint is gone, --from goes on from a
draft as it was packed, with new texts and its count of tokens, but without the optimiser's memory.

Texts (1.2 kB a token for SmolLM2-135M), checkpoints and the draft, both packed and as a folder that
can be used as a model, are kept beside the cache of the models.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from testbed.distillation import schedule
from testbed.distillation.checkpoint import settings_of
from testbed.distillation.export import export
from testbed.distillation.samples import LENGTH, TEXTS, SampleStore
from testbed.distillation.student import load_target, make_student
from testbed.distillation.teacher import header_of
from testbed.distillation.trainer import Trainer, run
from testbed.errors import TestbedError
from testbed.models.packed_draft import unpack
from testbed.models.store.catalog import resolve
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.models.store.store import cache_dir, file_sha256


def main() -> None:
    """Distil, pack, tell."""
    args = options().parse_args()
    torch.set_num_threads(args.threads)

    args.directory.mkdir(parents=True, exist_ok=True)
    spec = resolve(args.target)
    draft = unpack(args.draft) if args.draft else None
    layers = draft.layers if draft else layers_of(args.layers)
    proposed = draft.proposed if draft and args.proposed is None else args.proposed
    dtype = faster_type(args.device)
    hashes = [file_sha256(each) for each in sorted(Path(spec.path).glob("*.safetensors"))]
    say(f"{args.device}, {dtype}, {args.threads} threads")
    texts = TEXTS[torch.device(args.device).type]
    store = SampleStore(
        args.directory / f"texts-{hashes[0][:12]}-{texts}-half-greedy",
        teacher(spec, dtype, args.device),
        header_of(spec),
        texts,
        LENGTH,
    )
    student = make_student(spec, layers, proposed).to(args.device)
    settings = settings_of(hashes[0], layers, proposed, dtype)
    trainer = Trainer(student, store, dtype, settings)

    name = "layers-" + "-".join(str(index) for index in layers)
    if proposed is not None:
        name += f"-first-{proposed}"
    level = args.directory / f"{name}.safetensors"
    if level.is_file():
        trainer.restore(level)
    elif draft:
        trainer.begin_with(draft)
    done = trainer.progress.step
    if args.finish:
        if not done:
            raise TestbedError(f"there is nothing to finish in {args.directory}; train first")
        plan = schedule.finishing(done)
    else:
        plan = schedule.whole(round(args.tokens / trainer.batch_tokens))
    if done > plan.hold:
        raise TestbedError(
            f"--tokens {args.tokens:g} is too few, as {trainer.tokens:,} were trained on at the "
            f"full rate already; name at least {trainer.tokens / (1 - schedule.DECAY):.2g} or use "
            "--finish"
        )
    stop = Stop()
    if done < plan.hold:
        run(trainer, plan, level, until=plan.hold, stopping=stop, say=say)
    if stop():
        return
    falling = args.directory / f"{name}-falling-from-{plan.hold}.safetensors"
    if falling.is_file():
        trainer.restore(falling)
    run(trainer, plan, falling, until=plan.steps, stopping=stop, say=say)
    if stop():
        return
    before = trainer.acceptance()
    packed = export(trainer, layers, spec, args.directory / f"{name}-draft")
    say(f"expected acceptance on held-out texts {before:.4f}, packed {trainer.acceptance():.4f}")
    say(f"{packed}: {packed.stat().st_size / 1e6:.1f} MB, beside it a folder to use as a model")
    for tokens, measured in trainer.progress.curve:
        print(f"{tokens:>12,} {measured:.4f}")


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target", default=DEFAULT_MODEL, help="a model for chat, like llama or qwen"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--layers", default="0,1,2,3,14,27,28,29", help="of the target, to begin with"
    )
    start.add_argument(
        "--from",
        dest="draft",
        type=Path,
        help="a packed draft to go on from, unless there is a checkpoint",
    )
    parser.add_argument(
        "--proposed",
        type=int,
        help="how many of the first ids it is to propose (default all, or as many as --from)",
    )
    parser.add_argument("--tokens", type=float, default=6e6, help="to train on (default 6e6)")
    parser.add_argument("--finish", action="store_true", help="let the rate fall from here on")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (default 2)")
    parser.add_argument("--directory", type=Path, default=cache_dir().parent / "distill")
    return parser


def layers_of(text: str) -> list[int]:
    """Return indices that the user listed. Raises TestbedError unless they rise."""
    try:
        layers = [int(index) for index in text.split(",")]
    except ValueError:
        layers = []
    if not layers or sorted(set(layers)) != layers:
        raise TestbedError(f"--layers {text}: allowed are rising indices like 0,1,28,29")
    return layers


class Stop:
    """A request to end by the user: Ctrl-C or SIGTERM, once."""

    def __init__(self) -> None:
        self._wanted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        """Ask."""
        return self._wanted

    def _ask(self, number: int, _: object) -> None:
        self._wanted = True
        signal.signal(number, signal.SIG_DFL)


def say(line: str) -> None:
    """One line with the time."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def faster_type(device: str) -> torch.dtype:
    """Return the type in which this machine multiplies matrices faster, bf16 or fp32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(n, 1024, dtype=dtype, device=device) for n in (1024, 8192))
        for _ in range(3):
            began = time.monotonic()
            (a @ b.T)[0, 0].item()
            seconds[dtype] = time.monotonic() - began
    return min(seconds, key=lambda dtype: seconds[dtype])


def teacher(spec: Any, dtype: torch.dtype, device: str) -> Any:
    """Load the target when texts are first needed, and keep it."""
    loaded: list[Any] = []

    def get() -> Any:
        if not loaded:
            loaded.append(load_target(spec, dtype).to(device))
        return loaded[0]

    return get


if __name__ == "__main__":
    try:
        main()
    except TestbedError as error:
        sys.exit(str(error))
