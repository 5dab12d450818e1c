"""Hugging Face data sets: calls of the library, and its answers."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest

from testbed.scenario.load import check_scenario
from tests.prompts.scenario import refusal, texts
from tests.scenario.test_load import BASE

QUIZ = {"dataset": "org/quiz", "split": "test", "field": "question"}


@pytest.fixture
def library(monkeypatch):
    """Install a replacement for `datasets` that records its calls and the rows that are read."""
    fake = ModuleType("datasets")
    fake.__version__, fake.calls, fake.read = "4.0.0", [], []

    def load_dataset(*arguments, **options):
        fake.calls.append((arguments, options))

        def rows():
            for number in range(5):
                fake.read.append(number)
                yield {"question": f"question {number}", "answer": 1}

        return rows()

    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


def test_no_more_rows_are_read_than_needed(tmp_path, library):
    assert texts(tmp_path, {**QUIZ, "first": 2}) == ["question 0", "question 1"]
    assert library.read == [0, 1]
    assert library.calls == [(("org/quiz", None), {"split": "test"})]
    assert len(texts(tmp_path, {**QUIZ, "config": "hard", "sample": 3})) == 3
    assert library.calls[1][0] == ("org/quiz", "hard")


def test_every_point_of_a_sweep_has_the_same_rows_read_once(tmp_path, library):
    sweep = {"links.radio.up.rate": ["1mbit", "2mbit"]}
    raw = {**BASE, "prompts": [{**QUIZ, "first": 2}], "sweep": sweep}
    points = check_scenario(raw, str(tmp_path / "s.yaml")).every_point()
    assert [point.scenario.prompts for point in points] == [["question 0", "question 1"]] * 2
    assert len(library.calls) == 1


@pytest.mark.parametrize("old", [True, False])
def test_without_a_version_that_runs_no_code_the_command_to_get_it_is_named(
    tmp_path, monkeypatch, library, old
):
    if old:
        library.__version__ = "3.6.0"
    else:
        monkeypatch.setitem(sys.modules, "datasets", None)
    assert refusal(tmp_path, QUIZ) == (
        "prompts[0]: Hugging Face data sets need the package datasets, version 4 or newer; "
        f"{sys.executable} -m pip install 'datasets>=4' does that"
    )


def test_what_the_library_cannot_do_is_one_sentence(tmp_path, library):
    def load_dataset(*arguments, **options):
        raise ConnectionError("Couldn't reach 'org/quiz' on the Hub\nand more")

    library.load_dataset = load_dataset
    assert refusal(tmp_path, QUIZ) == (
        "prompts[0]: data set org/quiz cannot be loaded: Couldn't reach 'org/quiz' on the Hub"
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"field": "q"},
         "[0]: org/quiz, test, row 0: there is no field 'q'; there are question, answer"),
        ({"field": "answer"}, "[0]: org/quiz, test, row 0: field 'answer' is not text, but int"),
        ({"first": 6}, "[0]: 6 prompts are wanted, but the source has 5"),
        ({"dataset": "quiz"}, "[0]: 'quiz' is not a data set; write it as org/name"),
        ({"dataset": "https://a/b"}, "[0]: 'https://a/b' is not a data set; write it as org/name"),
        ({"splitt": "test"},
         "[0].splitt: unknown key; allowed are first, sample, dataset, split, config, field"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path, library, changes, error):
    assert refusal(tmp_path, {**QUIZ, **changes}) == f"prompts{error}"


def test_a_split_is_needed(tmp_path, library):
    assert refusal(tmp_path, {"dataset": "a/b"}) == "prompts[0].split: this key is missing"


def test_the_real_library(tmp_path):
    """Read a folder as a data set, in a process that must also exit without an error."""
    pytest.importorskip("datasets")
    folder = tmp_path / "org/quiz"
    folder.mkdir(parents=True)
    lines = [json.dumps({"question": f"question {number}", "n": number}) for number in range(5)]
    (folder / "test.jsonl").write_text("\n".join(lines))
    program = (
        "from pathlib import Path\n"
        "from tests.prompts.scenario import refusal, texts\n"
        f"quiz, here = {QUIZ}, Path('.')\n"
        "print(texts(here, {**quiz, 'first': 2}))\n"
        "print(refusal(here, {**quiz, 'split': 'dev'}))\n"
        "print(refusal(here, {**quiz, 'first': 6}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, no_split, too_many = done.stdout.splitlines()
    assert first == "['question 0', 'question 1']"
    assert "cannot be loaded" in no_split
    assert "test" in no_split
    assert "6 prompts are wanted, but the source has 5" in too_many
