from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from testbed.errors import TestbedError
from testbed.models.packed_draft import PackedDraft, dequantise, pack, quantise, unpack


@pytest.fixture
def draft() -> PackedDraft:
    random = np.random.default_rng(0)
    weights = {
        "up": random.normal(size=(30, 20)).astype(np.float32),
        "norm": random.normal(size=20).astype(np.float32),
    }
    return PackedDraft(weights, [0, 4], {"tokens": 7}, 9)


def test_rounding_is_at_most_half_a_step_of_the_row() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(50, 40)) * 10.0 ** random.integers(-6, 4, size=(50, 1))
    matrix = matrix.astype(np.float32)
    matrix[3] = 0
    integers, scale = quantise(matrix)
    assert integers.dtype == np.int8
    assert np.abs(integers).max(axis=1).tolist() == [127 if row != 3 else 0 for row in range(50)]
    error = np.abs(dequantise(integers, scale) - matrix)
    assert (error <= 0.5001 * np.abs(matrix).max(axis=1, keepdims=True) / 127).all()
    assert error.max() > 0


def test_file_holds_integers_and_reads_back(draft: PackedDraft, tmp_path: Path) -> None:
    path = tmp_path / "draft.safetensors"
    pack(draft, path)
    assert path.stat().st_size < 30 * 20 + 30 * 4 + 20 * 4 + 1000
    again = unpack(path)
    assert (again.layers, again.notes, again.proposed) == ([0, 4], {"tokens": 7}, 9)
    assert np.array_equal(again.weights["norm"], draft.weights["norm"])
    assert np.array_equal(again.weights["up"], dequantise(*quantise(draft.weights["up"])))


def test_damage_is_noticed(draft: PackedDraft, tmp_path: Path) -> None:
    path = tmp_path / "draft.safetensors"
    pack(draft, path)
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(TestbedError, match=r"^the draft .* is damaged: its SHA-256 must be \w+$"):
        unpack(path)
    path.write_bytes(whole[:-5])
    with pytest.raises(TestbedError, match=r"^cannot read the draft .*; allowed are files that .*"):
        unpack(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path)
    for wrong in (path, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(TestbedError, match=r"^cannot read the draft .*distill_draft\.py wrote"):
            unpack(wrong)
