"""Prompts are encoded once for the same files, and anew whenever anything about them differs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.experiment import texts
from testbed.experiment.texts import PromptError, read_texts
from testbed.models import trials
from testbed.models.spec import HuggingFaceSpec, SyntheticSpec
from tests.models.tiny import CONTEXT, FAMILIES, save

PROMPTS = ["w5 w6", "w7"]


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Names of the models that were opened."""
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    found = []

    def open_text(spec):
        found.append(spec.name)
        return OPEN(spec)

    monkeypatch.setattr(texts, "open_text", open_text)
    return found


OPEN = texts.open_text


@pytest.fixture
def pair(tmp_path):
    return [
        HuggingFaceSpec(str(save(FAMILIES["llama"](), tmp_path / name)), name)
        for name in ("target", "draft")
    ]


def again(pair, prompts=PROMPTS, *, chat=False):
    """Read as a new process does."""
    trials._made.clear()
    return read_texts(*pair, prompts, chat=chat)


def test_what_was_read_is_read_from_the_cache(opened, pair):
    first = again(pair)
    assert opened == ["target", "draft"]
    assert first.prompts == [[5, 6], [7]]
    assert (first.vocabulary_size, first.target.context_length) == (48, CONTEXT)
    assert (first.target.name, first.draft.name) == ("target", "draft")
    assert again(pair) == first
    assert opened == ["target", "draft"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_differs_is_read_anew(opened, pair, which):
    again(pair)
    file = Path(pair[which].path) / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    again(pair)
    assert len(opened) == 4


def test_a_file_as_large_as_weights_is_not_read(opened, pair, monkeypatch):
    file = Path(pair[0].path) / "pytorch_model.bin"
    with file.open("wb") as content:
        content.truncate(1 << 32)
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda each: pytest.fail("read") if each == file else read(each)
    )
    again(pair)
    os.utime(file, ns=(1, 1))
    again(pair)
    assert len(opened) == 4


@pytest.mark.parametrize("prompts", [["w5 w6"], ["w7", "w5 w6"]])
def test_other_prompts_are_read_anew(opened, pair, prompts):
    again(pair)
    again(pair, prompts)
    assert len(opened) == 4


def test_another_version_of_a_library_reads_anew(opened, pair, monkeypatch):
    again(pair)
    monkeypatch.setattr(texts.metadata, "version", lambda name: "0.0")
    again(pair)
    assert len(opened) == 4


def test_failures_are_not_kept(opened, pair):
    for _ in range(2):
        with pytest.raises(PromptError, match=r"^prompt 2 \(''\): it has no tokens$"):
            again(pair, ["w5", ""])
    assert len(opened) == 4


def test_synthetic_pairs_need_no_cache(opened, tmp_path):
    spec = SyntheticSpec(50, 0.5)
    found = again([spec, spec])
    assert found.vocabulary_size == 50
    assert opened == []
    assert not (tmp_path / "cache").exists()
