"""Do two models mean the same text by the same token ids? Read from their files, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.models.spec import ModelSpec, SyntheticSpec


@dataclass(frozen=True)
class Vocabulary:
    """What a model's token ids stand for."""

    size: int
    """Number of logits; may exceed the number of tokens, the rest being padding."""
    tokens: Mapping[int, str]
    """The tokenizer's spelling of each id."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal vocabularies only (up to SHA-256); names the size."""
        text = json.dumps(sorted(self.tokens.items()))
        return f"{self.size}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def read_vocabulary(model: Path) -> Vocabulary:
    """Read config.json and tokenizer.json of a local model directory.

    Raises TestbedError when one is missing or not of the expected form.
    """
    config, tokenizer = _json(model / "config.json"), _json(model / "tokenizer.json")
    try:
        size = config.get("text_config", config)["vocab_size"]
        ids = tokenizer["model"]["vocab"]
        if isinstance(ids, list):  # Unigram: [piece, score] in the order of the ids
            ids = {piece: index for index, (piece, _) in enumerate(ids)}
        tokens = {index: token for token, index in ids.items()}
        tokens |= {added["id"]: added["content"] for added in tokenizer["added_tokens"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TestbedError(
            f"Cannot read the vocabulary of {model} (no {error}); allowed are directories with "
            "the config.json and tokenizer.json of a language model."
        ) from error
    return Vocabulary(size, tokens)


def require_same_vocabulary(target: ModelSpec, draft: ModelSpec) -> None:
    """Raise TestbedError with the first difference unless ids mean the same to both models."""
    mine, other = vocabulary_of(target), vocabulary_of(draft)
    pair = f"Draft '{draft.name}' and target '{target.name}' must share one vocabulary"
    if mine.size != other.size:
        raise TestbedError(f"{pair}, but have {other.size} and {mine.size} token ids.")
    for token in sorted(mine.tokens.keys() | other.tokens.keys()):
        left, right = other.tokens.get(token), mine.tokens.get(token)
        if left != right:
            raise TestbedError(f"{pair}, but id {token} is {left!r} and {right!r}.")


def vocabulary_of(spec: ModelSpec) -> Vocabulary:
    """What the ids of a model stand for, without loading it."""
    if isinstance(spec, SyntheticSpec):
        return Vocabulary(spec.vocabulary_size, {})
    return read_vocabulary(Path(spec.path))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TestbedError(
            f"Cannot read {path} ({error}); a model directory needs "
            "config.json, tokenizer.json and *.safetensors."
        ) from error
