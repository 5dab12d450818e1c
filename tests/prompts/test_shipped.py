"""The prompts in scripts/prompts: complete, all different, and as long as documented."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import msgspec
import pytest

from testbed.models.store.fetch import default_path
from tests.prompts.scenario import texts

FOLDER = Path(__file__).parents[2] / "scripts/prompts"
KINDS = ("chat", "code", "long_context", "reasoning", "summary", "translation")


class Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    prompt: str


def lines(kind: str) -> list[Line]:
    content = (FOLDER / f"{kind}.jsonl").read_bytes()
    assert content.endswith(b"\n")
    return [msgspec.json.decode(line, type=Line) for line in content.splitlines()]


def test_there_is_a_file_of_each_kind_and_no_other():
    assert {path.name for path in FOLDER.iterdir()} == {f"{kind}.jsonl" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_scenario_can_take_every_prompt_of_a_kind(kind):
    found = texts(FOLDER, {"file": f"{kind}.jsonl"})
    assert found == [line.prompt for line in lines(kind)]
    assert len(found) >= 10
    assert [line.id for line in lines(kind)] == [f"{kind}-{i + 1:02}" for i in range(len(found))]


def test_there_are_sixty_and_no_two_are_alike():
    prompts = [line.prompt for kind in KINDS for line in lines(kind)]
    assert len(prompts) >= 60
    # Translations begin alike; what they translate does not.
    assert len({" ".join(prompt.split()[:25]) for prompt in prompts}) == len(prompts)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_do_not_fill_up_their_length_by_repetition(kind):
    for line in lines(kind):
        words = line.prompt.split()
        runs = [tuple(words[i : i + 12]) for i in range(len(words) - 11)]
        assert len(runs) == len(set(runs)), line.id


@pytest.mark.model
def test_long_contexts_are_long_and_leave_room_in_a_context_of_2048():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(default_path() / "tokenizer.json"))

    def tokens(kind: str) -> list[int]:
        return [len(tokenizer.encode(line.prompt).ids) for line in lines(kind)]

    assert all(800 <= number <= 1500 for number in tokens("long_context"))
    others = chain.from_iterable(tokens(kind) for kind in KINDS if kind != "long_context")
    assert all(40 <= number <= 300 for number in others)
