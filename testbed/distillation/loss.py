"""Loss of distillation: cross-entropy to the target's distribution p, plus 1 − Σ min(p, q).

Importing this loads torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from typing_extensions import override

_ROWS = 128
"""Number of positions whose distributions are in memory at once."""


class Distances(NamedTuple):
    """Distances of q from p; both are [N] float32, one per position."""

    cross_entropy: torch.Tensor
    """−Σ p log q, in nats."""
    overlap: torch.Tensor
    """Σ min(p, q), the probability that a token drawn from q is accepted."""


def distances(
    student: torch.Tensor, teacher: torch.Tensor, head: torch.Tensor
) -> tuple[Distances, torch.Tensor]:
    """Return the distances of q = softmax(head · student) from p = softmax(head · teacher).

    `student` and `teacher` are states, [N, H], and `head` is [V, H], all of one type. The second
    result, [N, H], is the gradient of cross-entropy + 1 − overlap with respect to `student`, row by
    row. With m = 1 where q < p, and s = Σ m q, it is q − p − q (m − s), the gradient with respect
    to the logits, times the head.

    For a small student most time goes into these [N, V] arrays and not into its layers. So a few
    rows at a time are computed in the same memory: new memory takes longer than the arithmetic.
    """
    rows = min(_ROWS, len(student))
    logits = head.new_empty(rows, len(head))
    work = torch.empty(3, rows, len(head), device=head.device)
    entropies, overlaps, gradients = [], [], []
    for start in range(0, len(student), rows):
        ours, theirs = student[start : start + rows], teacher[start : start + rows]
        z, (p, q, mq) = logits[: len(ours)], work[:, : len(ours)]
        torch.mm(theirs, head.T, out=z)
        torch.softmax(z, -1, dtype=torch.float32, out=p)
        torch.mm(ours, head.T, out=z)
        torch.log_softmax(z, -1, dtype=torch.float32, out=q)
        entropies.append(-torch.mul(p, q, out=mq).sum(-1))
        q.exp_()
        overlaps.append(torch.minimum(p, q, out=mq).sum(-1))
        torch.lt(q, p, out=mq)
        mq *= q
        q.mul_(1 + mq.sum(-1, keepdim=True)).sub_(mq).sub_(p)
        gradients.append(z.copy_(q) @ head)
    return Distances(torch.cat(entropies), torch.cat(overlaps)), torch.cat(gradients)


@torch.no_grad()
def overlap(
    student: torch.Tensor, teacher: torch.Tensor, head: torch.Tensor, proposed: int
) -> torch.Tensor:
    """Return Σ min(p, q) at each position, [N]; q is restricted to the first `proposed` ids."""
    found = []
    for start in range(0, len(student), _ROWS):
        some = slice(start, start + _ROWS)
        p = torch.softmax(teacher[some] @ head.T, -1, dtype=torch.float32)
        q = torch.softmax(student[some] @ head[:proposed].T, -1, dtype=torch.float32)
        found.append(torch.minimum(p[:, :proposed], q).sum(-1))
    return torch.cat(found)


class _Loss(torch.autograd.Function):
    @staticmethod
    @override
    def forward(
        ctx: Any, student: torch.Tensor, teacher: torch.Tensor, head: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found, gradient = distances(student.to(head.dtype), teacher.to(head.dtype), head)
        ctx.save_for_backward((gradient.float() / len(gradient)).to(student.dtype))
        overlap = found.overlap.mean()
        ctx.mark_non_differentiable(overlap)
        return found.cross_entropy.mean() + 1 - overlap, overlap

    @staticmethod
    @override
    def backward(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> Any:
        (saved,) = ctx.saved_tensors
        return saved * gradient, None, None


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, head: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss over N positions, differentiable by `student`, and the mean overlap."""
    return _Loss.apply(student, teacher, head)  # type: ignore[no-untyped-call, no-any-return]
