from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.vocabulary import Vocabulary, require_same_vocabulary
from tests.models.tiny import FAMILIES, IDS, LOGITS, save

WORDS = {0: "a", 1: "b", 2: "c", 4: "<end>"}


def test_the_size_covers_every_id() -> None:
    assert Vocabulary(WORDS).size == 5  # 3 is nothing, and below 4
    assert Vocabulary({}).size == 0


def test_equal_vocabularies_share_a_fingerprint_that_names_the_size() -> None:
    shuffled = Vocabulary(dict(reversed(WORDS.items())))
    require_same_vocabulary(Vocabulary(WORDS), shuffled, "big", "small")
    assert Vocabulary(WORDS).fingerprint == shuffled.fingerprint
    assert shuffled.fingerprint.startswith("5-")


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        ({**WORDS, 1: "c", 2: "b"}, "id 1 is 'c' to the one and 'b' to the other"),
        ({**WORDS, 3: "d"}, "id 3 is 'd' to the one and nothing to the other"),
        ({0: "a", 1: "b", 4: "<end>"}, "id 2 is nothing to the one and 'c' to the other"),
    ],
)
def test_the_first_difference_is_named(draft: dict[int, str], words: str) -> None:
    target, other = Vocabulary(WORDS), Vocabulary(draft)
    with pytest.raises(
        TestbedError, match=rf"^draft 'small' and target 'big' must share .* {words}$"
    ):
        require_same_vocabulary(target, other, "big", "small")
    assert target.fingerprint != other.fingerprint


def test_models_with_unlike_padding_agree_on_v(tmp_path: Path) -> None:
    """Qwen 2.5's 0.5B has 151936 logits and its 7B 152064, for the same 151665 ids."""
    qwen, other = FAMILIES["qwen2"](), FAMILIES["qwen2"]()
    other.resize_token_embeddings(LOGITS + 8)
    paths = [save(qwen, tmp_path / "small"), save(other, tmp_path / "large")]
    models = [HuggingFaceModel(path, path.name) for path in paths]
    assert {model.vocabulary_size for model in models} == {IDS}
    assert len({model.vocabulary_id for model in models}) == 1
    assert all(model.session().extend([3, 4]).shape == (2, IDS) for model in models)
