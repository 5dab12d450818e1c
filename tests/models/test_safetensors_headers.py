"""Checks of weight files before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from testbed.errors import TestbedError
from testbed.models.safetensors_headers import Weights, read_weights, weight_files

INDEX = "model.safetensors.index.json"


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Write two files and their index: 12 numbers in fp32, 10 in fp16, and a mask of 6 bytes."""
    files = [tmp_path / f"model-0000{index}-of-00002.safetensors" for index in (1, 2)]
    save_file({"a": np.zeros((3, 4), np.float32), "mask": np.ones(6, np.bool_)}, files[0])
    save_file({"b": np.zeros(10, np.float16)}, files[1])
    names = {"a": files[0].name, "mask": files[0].name, "b": files[1].name}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": names}))
    return files


def test_all_shards_count(shards: list[Path], tmp_path: Path) -> None:
    assert weight_files(tmp_path, "m") == shards
    weights = read_weights(tmp_path, "m")
    assert weights == Weights(floats=22, other_bytes=6, largest=12)
    assert (weights.size(4), weights.size(2)) == (94, 50)


def test_one_whole_file_is_read_alone(shards: list[Path], tmp_path: Path) -> None:
    """As in transformers."""
    save_file({"a": np.zeros(5, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "consolidated.safetensors").touch()
    assert read_weights(tmp_path, "m") == Weights(5, 0, 5)


def test_a_missing_shard_is_named(shards: list[Path], tmp_path: Path) -> None:
    shards[1].unlink()
    with pytest.raises(
        TestbedError, match=r"^model 'm' lacks 1 of its 2 .*: model-00002-of-00002\.safetensors is"
    ):
        weight_files(tmp_path, "m")


def test_pickles_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(TestbedError, match=r"^model 'm' has no model\.safetensors .* run code"):
        weight_files(tmp_path, "m")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map": 3}'])
def test_a_damaged_index(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(TestbedError, match=rf"^/.*{INDEX}: cannot be read: .*; fetch"):
        weight_files(tmp_path, "m")


def test_a_file_that_was_truncated(shards: list[Path], tmp_path: Path) -> None:
    size = shards[0].stat().st_size
    shards[0].write_bytes(shards[0].read_bytes()[:-3])
    with pytest.raises(TestbedError, match=f"damaged .*: {size - 3} of {size} bytes; fetch"):
        read_weights(tmp_path, "m")


def header(text: str | bytes) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return len(content).to_bytes(8, "little") + content


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header("[" * 100_000), "its header: cannot be read"),
        (header('{"a": ' + "[" * 100_000), "nested too deeply"),
        (header('{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}'), "'a': cannot"),
        (header('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}'), "'a': cannot"),
        (header('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}'), "'a': cannot"),
        (header('{"a": {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]}}'), "'a': cannot"),
        (header('{"a": 3}'), "'a': cannot"),
        (header('{"__metadata__": {}}'), "it holds no tensor"),
        (header(b'{"\xff": {}}'), "cannot be read"),
        ((2**63).to_bytes(8, "little"), "cannot be read"),
    ],
)
def test_a_damaged_header_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(
        TestbedError, match=r"^/.*: model 'm' has a damaged weight .*; fetch"
    ) as got:
        read_weights(tmp_path, "m")
    assert why in str(got.value)


@pytest.mark.parametrize("file", ["../x.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_an_index_names_files_beside_it_alone(tmp_path: Path, file: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    save_file({"a": np.zeros(5, np.float32)}, tmp_path / "x.safetensors")
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(
        TestbedError, match=rf"{INDEX}: it names the weight file '.*'; only files beside"
    ):
        weight_files(model, "m")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 50, b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"]
)
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(TestbedError, match=r"^/.*: model 'm' has a damaged weight file: .*; fetch"):
        read_weights(tmp_path, "m")
