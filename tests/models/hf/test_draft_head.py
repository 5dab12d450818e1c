"""Models that propose the first ids only: their logits are the same, all others are -inf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.errors import TestbedError
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.spec import Dtype
from tests.models.tiny import FAMILIES, IDS, LOGITS, save

TEXT = [5, 40, 7, 1, 9]


def saved(family: str, path: Path, size: Any) -> Path:
    """Save a network of the family whose configuration limits the ids that it proposes."""
    save(FAMILIES[family](), path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "draft_vocab_size": size}))
    return path


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("family", ["llama", "opt", "gpt_neo", "gpt_neox", "qwen2", "gemma"])
def test_the_first_logits_stay_and_the_others_are_never(
    family: str, dtype: Dtype, tmp_path: Path
) -> None:
    whole = HuggingFaceModel(saved(family, tmp_path, None), family, dtype=dtype)
    trimmed = HuggingFaceModel(saved(family, tmp_path, 20), family, dtype=dtype)
    wanted, logits = (model.session().extend(TEXT) for model in (whole, trimmed))
    assert logits.shape == wanted.shape == (len(TEXT), IDS)
    assert np.allclose(logits[:, :20], wanted[:, :20], atol=1e-5 if dtype == "fp32" else 0.1)
    assert np.ptp(wanted[:, :20]) > 1
    assert (logits[:, 20:] == -np.inf).all()
    assert np.isfinite(wanted).all()


@pytest.mark.parametrize("size", [0, LOGITS + 1, "20", True])
def test_lengths_that_the_head_lacks_are_refused(size: Any, tmp_path: Path) -> None:
    words = rf"'m' has draft_vocab_size .*; allowed are 1 to {LOGITS}, its head's length"
    with pytest.raises(TestbedError, match=words):
        HuggingFaceModel(saved("llama", tmp_path, size), "m")
