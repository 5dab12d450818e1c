"""The whole command, on the tiny target."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from testbed.errors import TestbedError
from testbed.models.packed_draft import unpack
from testbed.models.spec import HuggingFaceSpec

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "scripts/distill_draft.py"
STEP = 5 * (32 - 2)
"""Tokens trained on in a step."""


@pytest.fixture
def distill(
    target: HuggingFaceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Run the command with these arguments and those that every test needs."""
    spec: Any = importlib.util.spec_from_file_location("distill_draft", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LENGTH", 32)
    monkeypatch.setattr(module, "TEXTS", {"cpu": 16})
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)

    def run(*arguments: str) -> None:
        given = ["--target", target.path, "--directory", str(tmp_path)]
        given += ["--threads", str(torch.get_num_threads()), *arguments]
        if "--from" not in arguments:
            given = ["--layers", "0,5", *given]
        monkeypatch.setattr(sys, "argv", ["distill_draft.py", *given])
        module.main()

    return run


def test_whole_run_then_more_then_an_early_end(
    distill: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "layers-0-5-draft.safetensors"
    distill("--tokens", str(10 * STEP))
    draft = unpack(out)
    assert draft.layers == [0, 5]
    assert draft.notes["tokens"] == 10 * STEP
    assert [tokens for tokens, _ in draft.notes["curve"]] == [8 * STEP, 10 * STEP]
    assert "expected acceptance on held-out texts" in capsys.readouterr().out

    with pytest.raises(TestbedError, match=r"^--tokens 750 is too few, as 1,200 were trained on"):
        distill("--tokens", str(5 * STEP))
    distill("--tokens", str(20 * STEP))
    assert unpack(out).notes["tokens"] == 20 * STEP
    curve = [tokens for tokens, _ in unpack(out).notes["curve"]]
    assert curve == [8 * STEP, 16 * STEP, 20 * STEP]
    out.unlink()
    distill("--finish")  # 16 steps were at the full rate
    assert unpack(out).notes["tokens"] == 20 * STEP


def test_a_draft_that_proposes_the_first_ids(distill: Callable[..., None], tmp_path: Path) -> None:
    distill("--proposed", "25", "--tokens", str(5 * STEP))
    packed = tmp_path / "layers-0-5-first-25-draft.safetensors"
    assert unpack(packed).proposed == 25
    assert (
        json.loads((packed.with_suffix("") / "config.json").read_text())["draft_vocab_size"] == 25
    )
    level = tmp_path / "layers-0-5-first-25.safetensors"
    level.unlink()
    distill("--from", str(packed), "--tokens", str(10 * STEP))
    assert level.is_file()  # goes on as the draft is
    assert (unpack(packed).proposed, unpack(packed).notes["tokens"]) == (25, 10 * STEP)
    distill("--tokens", str(5 * STEP))  # another run, with a checkpoint of its own
    assert unpack(tmp_path / "layers-0-5-draft.safetensors").proposed is None


def test_finish_before_any_training(distill: Callable[..., None]) -> None:
    with pytest.raises(TestbedError, match=r"^there is nothing to finish in .*; train first$"):
        distill("--finish")


def test_no_such_layer(distill: Callable[..., None]) -> None:
    for layers, words in (("0,9", "has layers 0 to 5"), ("5,0", "layers"), ("a", "layers")):
        with pytest.raises(TestbedError, match=words):
            distill("--layers", layers)
