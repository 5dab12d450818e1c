from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from testbed.errors import TestbedError
from testbed.models.packed_draft import PackedDraft, pack
from testbed.models.store import shipped
from testbed.models.store.shipped import build, shipped_draft
from testbed.models.store.store import cache_dir

LAYER = "model.layers.{}.up.weight"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    weights = {LAYER.format(index): np.full((4, 2), index, np.float32) for index in range(3)}
    weights |= {"model.norm.weight": np.ones(2, np.float32)}
    weights |= {"model.embed_tokens.weight": np.arange(12, dtype=np.float32).reshape(6, 2)}
    save_file(weights, path / "model.safetensors")
    config = {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "vocab_size": 6}
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text("the tokenizer")
    (path / "chat_template.jinja").write_text("the template")
    return path


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty store, and a package with the draft "small"."""
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "DATA", tmp_path)
    ship(tmp_path / "small.safetensors", 7)
    return tmp_path


def ship(path: Path, value: float, rows: int = 4, proposed: int | None = None) -> None:
    """Write a draft of layers 0 and 2 whose weights have one value."""
    weights = {LAYER.format(index): np.full((rows, 2), value, np.float32) for index in range(2)}
    weights["model.norm.weight"] = np.full(2, 3, np.float32)
    pack(PackedDraft(weights, [0, 2], {}, proposed), path)


def test_directory_is_the_drafts_and_the_targets(target: Path) -> None:
    path = shipped_draft("small", target)
    assert path.parent == cache_dir()
    weights = load_file(path / "model.safetensors")
    assert sorted(weights) == [
        "model.embed_tokens.weight", LAYER.format(0), LAYER.format(1), "model.norm.weight",
    ]  # fmt: skip
    assert np.allclose(weights[LAYER.format(1)], 7)
    assert weights["model.norm.weight"].tolist() == [3, 3]
    assert weights["model.embed_tokens.weight"].ravel().tolist() == list(range(12))
    config = json.loads((path / "config.json").read_text())
    assert config == {"num_hidden_layers": 2, "layer_types": ["a", "c"], "vocab_size": 6}
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (path / name).read_text() == (target / name).read_text()


def test_configuration_says_what_the_draft_proposes(target: Path, data: Path) -> None:
    ship(data / "small.safetensors", 7, proposed=4)
    config = json.loads((shipped_draft("small", target) / "config.json").read_text())
    assert (config["draft_vocab_size"], config["vocab_size"]) == (4, 6)


def test_built_once_for_each_file(
    target: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shipped_draft("small", target)
    monkeypatch.setattr(shipped, "build", None)  # must not be called
    assert shipped_draft("small", target) == first
    monkeypatch.undo()
    monkeypatch.setenv("TESTBED_CACHE", str(data / "cache"))
    monkeypatch.setattr(shipped, "DATA", data)
    ship(data / "small.safetensors", 8)
    second = shipped_draft("small", target)
    assert second != first
    assert np.allclose(load_file(second / "model.safetensors")[LAYER.format(0)], 8)
    assert sorted(cache_dir().iterdir()) == sorted([first, second])


def test_what_does_not_fit_is_refused_and_leaves_nothing(target: Path, data: Path) -> None:
    ship(data / "small.safetensors", 7, rows=5)
    with pytest.raises(TestbedError, match=r"does not fit .*no model\.layers\.0\.up\.weight of sh"):
        shipped_draft("small", target)
    (data / "small.safetensors").write_bytes(b"nothing")
    with pytest.raises(TestbedError, match=r"^cannot read the draft .*small\.safetensors"):
        shipped_draft("small", target)
    assert list(cache_dir().iterdir()) == []


def test_package_without_it(target: Path) -> None:
    with pytest.raises(TestbedError, match=r"^the package lacks .*big\.safetensors; install"):
        shipped_draft("big", target)


def test_draft_of_another_target(target: Path, tmp_path: Path) -> None:
    weights = load_file(target / "model.safetensors")
    del weights[LAYER.format(1)]
    save_file(weights, target / "model.safetensors")
    with pytest.raises(TestbedError, match="does not fit the target"):
        build(tmp_path / "small.safetensors", target, tmp_path / "built")
    assert not (tmp_path / "built").exists()
