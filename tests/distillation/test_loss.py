from __future__ import annotations

import pytest
import torch

from testbed.distillation.loss import distances, distillation_loss, overlap

V, H = 50, 8


@pytest.fixture
def states() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return states of student and teacher, and the head; more rows than are computed at once."""
    random = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 300, H, generator=random)
    return student, teacher, torch.randn(V, H, generator=random)


def naive(
    student: torch.Tensor, teacher: torch.Tensor, head: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and overlap by their definitions."""
    p, q = torch.softmax(teacher @ head.T, -1), torch.softmax(student @ head.T, -1)
    overlap = torch.minimum(p, q).sum(-1).mean()
    return -(p * q.log()).sum(-1).mean() + 1 - overlap, overlap


def test_values_and_gradient(states: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    student, teacher, head = states
    mine, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    loss, overlap = distillation_loss(mine, teacher, head)
    expected, expected_overlap = naive(theirs, teacher, head)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert overlap.item() == pytest.approx(expected_overlap.item(), abs=1e-6)
    (3 * loss).backward()
    (3 * expected).backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    assert theirs.grad.abs().max() > 1e-4
    # In fp32 both are rounded, on each processor in an order of its own.
    assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)


def test_each_position(states: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    student, teacher, head = states
    found, _ = distances(student, teacher, head)
    for row in (0, 127, 128, 299):
        p, q = torch.softmax(head @ teacher[row], 0), torch.softmax(head @ student[row], 0)
        assert found.overlap[row] == pytest.approx(torch.minimum(p, q).sum().item(), abs=1e-6)
        assert found.cross_entropy[row] == pytest.approx(-(p @ q.log()).item(), abs=1e-5)


def test_equal_states_share_everything(
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    _, teacher, head = states
    found, _ = distances(teacher, teacher, head)
    assert torch.allclose(found.overlap, torch.ones(300), atol=1e-6)


def test_overlap_with_a_q_that_lacks_tokens(
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    student, teacher, head = states
    found = overlap(student, teacher, head, 20)
    assert found.shape == (300,)
    for row in (0, 127, 128, 299):
        p = torch.softmax(head @ teacher[row], 0)
        q = torch.zeros(V)
        q[:20] = torch.softmax((head @ student[row])[:20], 0)
        assert found[row] == pytest.approx(torch.minimum(p, q).sum().item(), abs=1e-6)
    assert torch.allclose(
        overlap(student, teacher, head, V), distances(student, teacher, head)[0].overlap, atol=1e-6
    )
