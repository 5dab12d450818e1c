from __future__ import annotations

import fcntl
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from testbed.distillation import trainer as module
from testbed.distillation.checkpoint import settings_of
from testbed.distillation.export import export
from testbed.distillation.samples import SampleStore
from testbed.distillation.schedule import Schedule, whole
from testbed.distillation.student import learnt, load_target, make_student
from testbed.distillation.teacher import header_of
from testbed.distillation.trainer import Trainer, run
from testbed.errors import TestbedError
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.packed_draft import unpack
from testbed.models.spec import HuggingFaceSpec
from testbed.models.store.shipped import build

LAYERS = [0, 1, 5]
Make = Callable[..., Trainer]


@pytest.fixture
def make(
    target: HuggingFaceSpec,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    """Return a new trainer on texts that all trainers of a test share."""
    monkeypatch.setattr(module, "MEASURE", 10)
    texts = tmp_path_factory.mktemp("texts")

    def make_trainer(
        layers: list[int] = LAYERS,
        dtype: torch.dtype = torch.float32,
        proposed: int | None = None,
    ) -> Trainer:
        store = SampleStore(
            texts, lambda: load_target(target, torch.float32), header_of(target), 16, 24
        )
        settings = settings_of("hash", layers, proposed, dtype)
        return Trainer(make_student(target, layers, proposed), store, dtype, settings)

    return make_trainer


def go(trainer: Trainer, plan: Schedule, path: Path, until: int) -> list[str]:
    """Train without being stopped; return the lines of progress."""
    said: list[str] = []
    run(trainer, plan, path, until=until, stopping=lambda: False, say=said.append)
    return said


def same(one: Trainer, other: Trainer) -> bool:
    """Return True if every weight is equal."""
    pairs = zip(one.weights.values(), other.weights.values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_student_is_layers_of_the_target(target: HuggingFaceSpec) -> None:
    student, teacher = make_student(target, LAYERS), load_target(target, torch.float32)
    for mine, index in enumerate(LAYERS):
        ours, theirs = student.base_model.layers[mine], teacher.base_model.layers[index]
        assert torch.equal(ours.mlp.up_proj.weight, theirs.mlp.up_proj.weight)
    names = set(learnt(student))
    assert names == {name for name, weight in student.named_parameters() if weight.requires_grad}
    assert "model.norm.weight" in names
    assert not any("embed" in name or "lm_head" in name for name in names)


def test_acceptance_is_one_with_every_layer(make: Make) -> None:
    # The teacher's states are kept in bf16.
    assert make([0, 1, 2, 3, 4, 5]).acceptance() == pytest.approx(1, abs=0.01)


def test_what_is_not_proposed_is_not_accepted(make: Make) -> None:
    """A student with every layer has an overlap equal to p's mass on the first ids."""
    trainer = make([0, 1, 2, 3, 4, 5], proposed=25)
    held_out = trainer._store.held_out()
    p = torch.softmax(held_out.hidden.float() @ trainer._head.T, -1)
    assert trainer.acceptance() == pytest.approx(float(p[..., :25].sum(-1).mean()), abs=0.01)
    assert trainer.acceptance() < 0.95


def test_drafts_that_propose_more_than_there_is_are_refused(target: HuggingFaceSpec) -> None:
    for proposed in (0, 41):
        with pytest.raises(TestbedError, match=rf"cannot propose {proposed} ids; .* 1 to 40$"):
            make_student(target, LAYERS, proposed)


def test_learns(make: Make, tmp_path: Path) -> None:
    trainer = make()
    before, embeddings = trainer.acceptance(), trainer.student.get_input_embeddings().weight.clone()
    losses = [trainer.step(whole(150))[0] for _ in range(150)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert trainer.acceptance() > before + 0.05
    assert torch.equal(trainer.student.get_input_embeddings().weight, embeddings)
    assert trainer.tokens == 150 * module.BATCH * 22


def test_resumed_run_is_the_uninterrupted_one(make: Make, tmp_path: Path) -> None:
    plan, whole_run = whole(30), make()
    go(whole_run, plan, tmp_path / "whole.safetensors", 30)
    path = tmp_path / "parts.safetensors"
    for until in (7, 24, 30):
        part = make()
        if path.is_file():
            part.restore(path)
        go(part, plan, path, until)
        assert part.progress.step == until
    assert same(part, whole_run)
    assert not same(part, make())
    measured = dict(part.progress.curve)
    assert [tokens // part.batch_tokens for tokens in measured] == [7, 10, 20, 24, 30]
    assert measured.items() >= dict(whole_run.progress.curve).items()


def test_a_packed_draft_is_gone_on_from_with_new_texts(
    make: Make, target: HuggingFaceSpec, tmp_path: Path
) -> None:
    first = make()
    go(first, whole(50), tmp_path / "run.safetensors", 40)
    packed = export(first, LAYERS, target, tmp_path / "draft")
    reached, second = first.acceptance(), make()
    second.begin_with(unpack(packed))
    assert same(second, first)
    assert second.acceptance() == reached
    assert (second.tokens, second.progress.curve) == (first.tokens, first.progress.curve)
    plan = whole(200)
    assert plan.rate(40, second.progress.begun) == plan.rate(0)  # it warms up again
    path = tmp_path / "more.safetensors"
    go(second, plan, path, 42)
    assert [tokens // second.batch_tokens for tokens, _ in second.progress.curve][-1] == 42
    third = make()
    third.restore(path)
    assert vars(third.progress) == vars(second.progress)
    with pytest.raises(TestbedError, match="has other weights than these layers"):
        make([0, 5]).begin_with(unpack(packed))


def test_new_texts_come_as_old_ones_are_used_up(make: Make, tmp_path: Path) -> None:
    trainer = make()
    shards: list[int] = []
    known = trainer._store.shard
    trainer._store.shard = lambda number: shards.append(number) or known(number)  # type: ignore
    steps = math.ceil(module.REUSE * 3 * 16 / module.BATCH)
    go(trainer, whole(1000), tmp_path / "run.safetensors", steps)
    assert shards[: 4 * module.BATCH] == [0] * (4 * module.BATCH)
    assert set(shards) == {0, 1, 2}


def test_stopping_keeps_a_checkpoint(make: Make, tmp_path: Path) -> None:
    trainer, path = make(), tmp_path / "run.safetensors"
    run(
        trainer,
        whole(100),
        path,
        until=80,
        stopping=lambda: trainer.progress.step == 3,
        say=lambda line: None,
    )
    other = make()
    other.restore(path)
    assert other.progress.step == 3
    assert same(other, trainer)


def test_only_one_process_trains(make: Make, tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TestbedError, match=r"^another process is training into .*run\.saf"):
            go(make(), whole(10), tmp_path / "run.safetensors", 10)


def test_wrong_checkpoints_are_refused(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    go(make(), whole(10), path, 2)
    with pytest.raises(TestbedError, match=r"belongs to a run with .*\[0, 1, 5\].* has .*\[0, 5\]"):
        make([0, 5]).restore(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TestbedError, match=r"^cannot read the checkpoint .*; remove it$"):
        make().restore(path)


def test_bf16_learns_too(make: Make) -> None:
    trainer = make(dtype=torch.bfloat16)
    losses = [trainer.step(whole(60))[0] for _ in range(60)]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert all(weight.dtype == torch.float32 for weight in trainer.weights.values())


@pytest.mark.parametrize("proposed", [None, 25])
def test_exported_draft_is_the_student(
    make: Make, target: HuggingFaceSpec, tmp_path: Path, proposed: int | None
) -> None:
    trainer = make(proposed=proposed)
    go(trainer, whole(10), tmp_path / "run.safetensors", 10)
    before = trainer.acceptance()
    packed = export(trainer, LAYERS, target, tmp_path / "draft")
    assert trainer.acceptance() == pytest.approx(before, abs=0.02)
    assert unpack(packed).notes["tokens"] == trainer.tokens
    build(packed, Path(target.path), tmp_path / "built")
    text = [1, 0, 9, 20, 7]
    with torch.no_grad():
        expected = trainer.student(torch.tensor([text])).logits[0]
    for path in (tmp_path / "draft", tmp_path / "built"):
        model = HuggingFaceModel(path, "draft")
        assert model.encode("w1 user w9") == [1, 0, 9]
        logits = torch.from_numpy(model.session().extend(text))
        assert torch.allclose(logits[:, :proposed], expected[:, :proposed], atol=1e-5)
        assert proposed is None or bool((logits[:, proposed:] == -torch.inf).all())
