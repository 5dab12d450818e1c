from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.models.spec import HuggingFaceSpec, SyntheticSpec
from testbed.models.vocabulary import read_vocabulary, require_same_vocabulary

WORDS = {"a": 0, "b": 1, "c": 2}


def spec(path: Path, name: str, vocabulary: object = WORDS, size: int = 5) -> HuggingFaceSpec:
    folder = path / name
    folder.mkdir()
    tokenizer = {
        "model": {"vocab": vocabulary},
        "added_tokens": [{"id": 3, "content": "<end>"}],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({"vocab_size": size}))
    return HuggingFaceSpec(path=str(folder), name=name)


def test_equal_vocabularies_pass_and_share_a_fingerprint(tmp_path: Path) -> None:
    big = spec(tmp_path, "big")
    unigram = spec(tmp_path, "unigram", [["a", 0.0], ["b", -1.0], ["c", -2.0]])
    require_same_vocabulary(big, unigram)
    assert read_vocabulary(Path(big.path)).tokens == {0: "a", 1: "b", 2: "c", 3: "<end>"}
    prints = {read_vocabulary(Path(one.path)).fingerprint for one in (big, unigram)}
    assert len(prints) == 1
    assert prints.pop().startswith("5-")


@pytest.mark.parametrize(
    ("vocabulary", "size", "words"),
    [
        (WORDS, 6, "6 and 5 token ids"),
        ({"a": 0, "c": 1, "b": 2}, 5, "id 1 is 'c' and 'b'"),
        ({"a": 0, "b": 1}, 5, "id 2 is None and 'c'"),
    ],
)
def test_first_difference_is_named(
    tmp_path: Path, vocabulary: object, size: int, words: str
) -> None:
    target, draft = spec(tmp_path, "big"), spec(tmp_path, "small", vocabulary, size)
    with pytest.raises(TestbedError, match=f"Draft 'small' and target 'big' .* {words}"):
        require_same_vocabulary(target, draft)
    prints = {read_vocabulary(Path(one.path)).fingerprint for one in (target, draft)}
    assert len(prints) == 2


def test_synthetic_models_compare_by_size(tmp_path: Path) -> None:
    require_same_vocabulary(SyntheticSpec(9, 0.5), SyntheticSpec(9, 0.5))
    with pytest.raises(TestbedError, match="8 and 9"):
        require_same_vocabulary(SyntheticSpec(9, 0.5), SyntheticSpec(8, 0.5))
    with pytest.raises(TestbedError, match="id 0 is None and 'a'"):
        require_same_vocabulary(spec(tmp_path, "big"), SyntheticSpec(5, 0.5))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"config\.json"):
        read_vocabulary(tmp_path)
    broken = Path(spec(tmp_path, "broken").path)
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(TestbedError, match=r"Cannot read the vocabulary of .*broken"):
        read_vocabulary(broken)
