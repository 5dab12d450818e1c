"""One distillation run. Importing this loads torch."""

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
"""Texts a step."""
REUSE = 4
"""How often a token is trained on, on average."""
TELL = 30.0
"""Seconds between two lines."""
MEASURE = 200
"""Steps between two measurements, each with a checkpoint."""
_BETAS = (0.9, 0.95)
_NORM = 1.0
"""Longest gradient."""


class Trainer:
    """A student, its optimiser and its place in the run."""

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
        """Tokens trained on in a step."""
        return BATCH * self._held_out.hidden.shape[1]

    @property
    def tokens(self) -> int:
        """Tokens trained on so far."""
        return self.progress.step * self.batch_tokens

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        checkpoint.save(path, self.weights, self._optimiser, self.progress, self._settings)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        self.progress = checkpoint.restore(path, self.weights, self._optimiser, self._settings)

    def begin_with(self, draft: PackedDraft) -> None:
        """Go on from a packed draft, which says how much it was trained, with a new optimiser.

        Raises TestbedError unless it has the student's weights.
        """
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        if {name: values.shape for name, values in draft.weights.items()} != shapes:
            raise TestbedError(
                "The draft to go on from has other weights than the layers of this target."
            )
        for name, weight in self.weights.items():
            weight.data.copy_(torch.from_numpy(draft.weights[name]))
        step = draft.notes["tokens"] // self.batch_tokens
        curve = [(tokens, value) for tokens, value in draft.notes["curve"]]
        self.progress = Progress(step, curve=curve, begun=step)

    def step(self, schedule: Schedule) -> tuple[float, float]:
        """Learn from one batch; returns its loss and overlap, of the tokens that are proposed.

        Where those are not all, q is to be p among them: no q without the others has more in common
        with p.
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
        """Expected acceptance Σ min(p, q) at temperature 1 on the texts not trained on."""
        total = 0.0
        for start in range(0, len(self._held_out.ids), BATCH):
            some = slice(start, start + BATCH)
            hidden = self._read(self._held_out.ids[some]).to(self._dtype)
            rows = self._held_out.hidden[some].to(hidden).flatten(0, 1)
            total += float(overlap(hidden, rows, self._head, self._proposed).sum())
        return total / self._held_out.hidden[..., 0].numel()

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """The student's states before each token behind the header, [BATCH · (n − h), H]."""
        device = self._head.device
        # A type of 32 bits needs no autocast, which would only warn.
        mixed = self._dtype != torch.float32
        with torch.autocast(device.type, self._dtype) if mixed else nullcontext():
            states: torch.Tensor = self.student.base_model(
                ids.to(device), use_cache=False
            ).last_hidden_state
        return states[:, self._store.header - 1 : -1].flatten(0, 1)

    def _batch(self, step: int) -> Samples:
        """Texts of a step, drawn from the newest shards that this step may know."""
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
    """Train up to step `until`, keeping a checkpoint in `path` and telling how it goes.

    Ends early, checkpoint written, when `stopping()` says so. Raises TestbedError when another
    process is training into `path`.
    """
    with _alone(path):
        told = monotonic()
        kept = first = trainer.progress.step
        results: list[tuple[float, float]] = []
        while trainer.progress.step < until and not stopping():
            results.append(trainer.step(schedule))
            now = monotonic()
            if now - told > TELL:
                speed = (trainer.progress.step - first) / (now - told)
                say(_line(trainer, results, speed, until))
                results, first, told = [], trainer.progress.step, now
            if trainer.progress.step % MEASURE == 0:
                _keep(trainer, path, say)
                kept = trainer.progress.step
        if trainer.progress.step > kept:
            _keep(trainer, path, say)


def _line(trainer: Trainer, results: list[tuple[float, float]], speed: float, until: int) -> str:
    """Where a run is; `speed` in steps per second."""
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
    say(f"{trainer.tokens:>12,} tokens  expected acceptance on texts never seen {measured:.4f}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that goes with this process."""
    with path.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TestbedError(f"Another process is training into {path}; stop it first.") from None
        yield
