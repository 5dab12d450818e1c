from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config

from testbed.distillation.atomic_safetensors import save_whole
from testbed.distillation.cache import fixed_cache
from testbed.distillation.samples import SampleStore
from testbed.distillation.student import load_target
from testbed.distillation.teacher import header_of, write
from testbed.errors import TestbedError
from testbed.models.spec import HuggingFaceSpec
from tests.distillation.conftest import V

HEADER = [1, 0]


@pytest.fixture(scope="module")
def network(target: HuggingFaceSpec) -> Any:
    return load_target(target, torch.float32)


def test_header_ends_where_the_user_begins(target: HuggingFaceSpec) -> None:
    assert header_of(target) == HEADER


def test_model_without_chat_is_refused(target: HuggingFaceSpec, tmp_path: Path) -> None:
    for path in Path(target.path).iterdir():
        if path.suffix != ".jinja":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(TestbedError, match=r"^model 'plain' has no chat template; .*[^.]$"):
        header_of(HuggingFaceSpec(str(tmp_path), "plain"))


def test_windows_of_attention_are_refused() -> None:
    config = Qwen2Config(
        num_hidden_layers=2,
        use_sliding_window=True,
        sliding_window=4,
        layer_types=["full_attention", "sliding_attention"],
    )
    with pytest.raises(
        TestbedError, match=r"^the model \(qwen2\) has sliding-window or recurrent layers; .*"
    ):
        fixed_cache(config, 8)


def test_hidden_states_are_those_of_one_pass(network: Any) -> None:
    samples = write(network, HEADER, texts=3, length=12, seed=1)
    assert samples.ids.shape == (3, 12)
    assert samples.ids[:, :2].tolist() == [HEADER] * 3
    with torch.no_grad():
        whole = network.base_model(samples.ids).last_hidden_state
    assert torch.allclose(samples.hidden, whole[:, 1:-1], atol=1e-4)


def test_tokens_are_drawn_from_p(network: Any) -> None:
    texts = 20_000
    samples = write(network, HEADER, texts, length=3, seed=2)
    with torch.no_grad():
        p = network(torch.tensor([HEADER])).logits[0, -1].softmax(-1).double()
    counts = torch.bincount(samples.ids[:, 2], minlength=V)
    chi_square = float(((counts - texts * p) ** 2 / (texts * p)).sum())
    assert chi_square < 84.0  # quantile 1 − 1e-4 of 40 − 1 degrees of freedom is 82.1
    assert p.max() > 3 / V


def test_seeds(network: Any) -> None:
    one, again, other = (write(network, HEADER, 2, 20, seed).ids for seed in (7, 7, 8))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_greedy_texts_take_the_likeliest_token_from_the_questions_end_on(network: Any) -> None:
    end = network.generation_config.eos_token_id
    drawn = write(network, HEADER, texts=40, length=40, seed=3)
    samples = write(network, HEADER, texts=40, length=40, seed=3, greedy=20)
    with torch.no_grad():
        likeliest = network(samples.ids).logits[:, 1:-1].argmax(-1)
    new, before = samples.ids[:, 2:], drawn.ids[:, 2:]
    answering = (new == end).cumsum(1) - (new == end).long() > 0
    assert 0.1 < float(answering[:20].float().mean()) < 0.9
    assert torch.equal(new[20:], before[20:])
    assert torch.equal(new[:20][answering[:20]], likeliest[:20][answering[:20]])
    assert not torch.equal(new[20:][answering[20:]], likeliest[20:][answering[20:]])
    first = [int(row.long().argmax()) if row.any() else 38 for row in answering[:20]]
    for row, place in enumerate(first):
        assert torch.equal(new[row, :place], before[row, :place])


def test_greedy_texts_need_a_token_that_ends_a_turn(network: Any, monkeypatch) -> None:
    monkeypatch.setattr(network.generation_config, "eos_token_id", None)
    with pytest.raises(TestbedError, match=r"names no token that ends a turn"):
        write(network, HEADER, texts=2, length=4, seed=1, greedy=1)


def test_half_of_the_answers_to_train_on_are_greedy(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: Any, greedy: int, **keywords: Any) -> Any:
        calls.append(greedy)
        return write(*args, greedy=greedy, **keywords)

    monkeypatch.setattr("testbed.distillation.samples.write", counted)
    store = SampleStore(tmp_path, lambda: network, HEADER, texts=4, length=10)
    store.shard(0), store.held_out()
    assert calls == [2, 0]


def test_stored_texts_are_written_once(network: Any, tmp_path: Path) -> None:
    first = SampleStore(tmp_path, lambda: network, HEADER, texts=4, length=10)
    written = [first.shard(0), first.shard(1), first.held_out()]
    assert first.shard_tokens == 4 * 8
    assert [len(each.ids) for each in written] == [4, 4, 2]

    def never() -> Any:
        raise AssertionError("written twice")

    second = SampleStore(tmp_path, never, HEADER, texts=4, length=10)
    for before, after in zip(
        written, [second.shard(0), second.shard(1), second.held_out()], strict=True
    ):
        assert torch.equal(before.ids, after.ids)
        assert torch.equal(before.hidden, after.hidden)
    assert len({tuple(row) for each in written for row in each.ids.tolist()}) == 10


def test_interrupted_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.safetensors"
    save_whole({"a": torch.ones(2)}, path)
    before = path.read_bytes()

    def interrupted(tensors: object, name: str, metadata: object) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("testbed.distillation.atomic_safetensors.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_whole({"a": torch.zeros(2)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
