"""Training of one distillation run. Importing this loads torch."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from testbed.distillation import checkpoint
from testbed.distillation.checkpoint import Progress
from testbed.distillation.loss import distillation_loss, overlap
from testbed.distillation.samples import WINDOW, SampleStore
from testbed.distillation.schedule import RATE, Schedule
from testbed.distillation.student import learnt
from testbed.distillation.teacher import Samples
from testbed.errors import TestbedError
from testbed.models.packed_draft import PROPOSED, PackedDraft

BATCH = 5
"""Texts per step."""
REUSE = 4
"""Average number of times that a token is trained on."""
REPORT = 30.0
"""Seconds between two lines of progress."""
MEASURE = 200
"""Steps between two measurements of acceptance; each also writes a checkpoint."""
_BETAS = (0.9, 0.95)
_NORM = 1.0
"""Largest norm of a gradient; larger ones are clipped."""


class Trainer:
    """A student, its optimiser and the progress of its run."""

    def __init__(
        self,
        student: Any,
        store: SampleStore,
        dtype: torch.dtype,
        settings: dict[str, Any],
    ) -> None:
        self.student = student
        self.weights = learnt(student)
        self.progress = Progress()
        self._store = store
        self._dtype = dtype
        self._settings = settings
        self._head = student.get_output_embeddings().weight.detach().to(dtype)
        self._proposed = getattr(student.config, PROPOSED, len(self._head))
        self._optimiser = AdamW(
            self.weights.values(), lr=RATE, betas=_BETAS, weight_decay=0.0, fused=True
        )
        self._held_out = store.held_out()

    @property
    def batch_tokens(self) -> int:
        """Number of tokens trained on in a step."""
        return BATCH * self._held_out.hidden.shape[1]

    @property
    def tokens(self) -> int:
        """Number of tokens trained on so far."""
        return self.progress.step * self.batch_tokens

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        checkpoint.save(path, self.weights, self._optimiser, self.progress, self._settings)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint. Raises TestbedError when it is damaged or of another run."""
        self.progress = checkpoint.restore(path, self.weights, self._optimiser, self._settings)

    def begin_with(self, draft: PackedDraft) -> None:
        """Continue from a packed draft, with its count of tokens and a new optimiser.

        Raises TestbedError when its weights have other names or shapes than the student's.
        """
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        if {name: values.shape for name, values in draft.weights.items()} != shapes:
            raise TestbedError(
                "the draft to continue from has other weights than these layers of the target"
            )
        for name, weight in self.weights.items():
            weight.data.copy_(torch.from_numpy(draft.weights[name]))
        step = draft.notes["tokens"] // self.batch_tokens
        curve = [(tokens, value) for tokens, value in draft.notes["curve"]]
        self.progress = Progress(step, curve=curve, begun=step)

    def step(self, schedule: Schedule) -> tuple[float, float]:
        """Train on one batch; return its loss and overlap, over the proposed ids.

        If the draft proposes only some ids, q is trained towards p restricted to them: no q over
        these ids has a larger overlap with p.
        """
        began = monotonic()
        for group in self._optimiser.param_groups:
            group["lr"] = schedule.rate(self.progress.step, self.progress.begun)
        batch = self._batch(self.progress.step)
        hidden = self._read(batch.ids)
        teacher = batch.hidden.to(hidden.device).flatten(0, 1)
        loss, shared = distillation_loss(hidden, teacher, self._head[: self._proposed])
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.weights.values(), _NORM)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.progress.step += 1
        self.progress.seconds += monotonic() - began
        return loss.item(), shared.item()

    @torch.no_grad()
    def acceptance(self) -> float:
        """Return the expected acceptance Σ min(p, q) at temperature 1 on held-out texts."""
        total = 0.0
        for start in range(0, len(self._held_out.ids), BATCH):
            some = slice(start, start + BATCH)
            hidden = self._read(self._held_out.ids[some]).to(self._dtype)
            rows = self._held_out.hidden[some].to(hidden).flatten(0, 1)
            total += float(overlap(hidden, rows, self._head, self._proposed).sum())
        return total / self._held_out.hidden[..., 0].numel()

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the student's states before each token after the header, [BATCH · (n − h), H]."""
        device = self._head.device
        # autocast warns about types of 32 bits, which do not need it.
        mixed = self._dtype != torch.float32
        with torch.autocast(device.type, self._dtype) if mixed else nullcontext():
            states: torch.Tensor = self.student.base_model(
                ids.to(device), use_cache=False
            ).last_hidden_state
        return states[:, self._store.header - 1 : -1].flatten(0, 1)

    def _batch(self, step: int) -> Samples:
        """Draw the texts of a step from the newest shards that it may use."""
        newest = step * self.batch_tokens // (REUSE * self._store.shard_tokens)
        oldest = max(0, newest + 1 - WINDOW)
        generator = torch.Generator().manual_seed(step)
        shards = torch.randint(oldest, newest + 1, (BATCH,), generator=generator).tolist()
        rows = [int(torch.randint(1 << 30, (), generator=generator)) for _ in shards]
        ids, hidden = [], []
        for number, row in zip(shards, rows, strict=True):
            shard = self._store.shard(number)
            ids.append(shard.ids[row % len(shard.ids)])
            hidden.append(shard.hidden[row % len(shard.ids)])
        return Samples(torch.stack(ids), torch.stack(hidden))


def run(
    trainer: Trainer,
    schedule: Schedule,
    path: Path,
    *,
    until: int,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Train up to step `until`, with checkpoints in `path` and lines of progress to `say`.

    If `stopping()` returns True, writes a checkpoint and returns early. Raises TestbedError when
    another process is training into `path`.
    """
    with _alone(path):
        reported = monotonic()
        kept = first = trainer.progress.step
        results: list[tuple[float, float]] = []
        while trainer.progress.step < until and not stopping():
            results.append(trainer.step(schedule))
            now = monotonic()
            if now - reported > REPORT:
                speed = (trainer.progress.step - first) / (now - reported)
                say(_line(trainer, results, speed, until))
                results, first, reported = [], trainer.progress.step, now
            if trainer.progress.step % MEASURE == 0:
                _keep(trainer, path, say)
                kept = trainer.progress.step
        if trainer.progress.step > kept:
            _keep(trainer, path, say)


def _line(trainer: Trainer, results: list[tuple[float, float]], speed: float, until: int) -> str:
    """Format the progress of a run; `speed` is in steps per second."""
    loss, shared = (sum(each) / len(results) for each in zip(*results, strict=True))
    minutes = round((until - trainer.progress.step) / speed / 60)
    return (
        f"{trainer.tokens:>12,} tokens  {speed * trainer.batch_tokens:6.0f}/s  loss {loss:.3f}  "
        f"overlap {shared:.3f}  {minutes // 60}:{minutes % 60:02} h left"
    )


def _keep(trainer: Trainer, path: Path, say: Callable[[str], None]) -> None:
    measured = trainer.acceptance()
    trainer.progress.curve.append((trainer.tokens, measured))
    trainer.save(path)
    say(f"{trainer.tokens:>12,} tokens  expected acceptance on held-out texts {measured:.4f}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock on `path` that ends with this process.

    Raises TestbedError when another process holds it.
    """
    with path.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TestbedError(f"another process is training into {path}; stop it first") from None
        yield
