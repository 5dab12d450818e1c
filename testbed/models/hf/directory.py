"""A model directory before its weights are loaded: what kind of model, what text, how long.

Importing this loads torch.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from testbed.bounds import MOST_LAYERS, MOST_TOKENS
from testbed.errors import TestbedError, first_line
from testbed.files.stored_json import read
from testbed.models.hf.quantised import require_plain
from testbed.models.hf.rollback import require_keys_of_tokens
from testbed.models.hf.tokenizer import Tokenizer
from testbed.models.hf.vocabulary import Vocabulary

_SIZES = {
    "num_hidden_layers": MOST_LAYERS,
    "hidden_size": 1 << 20,
    "num_attention_heads": 1 << 16,
    "vocab_size": MOST_TOKENS,
}
"""The most that a configuration may have of each: far more than any model."""
_LEAST = 8
"""Tokens of the texts on which rollback is proved, and one."""
_UNLIMITED = 1 << 31  # tokens; of models that need no positions, such as BLOOM


class ModelDirectory:
    """Configuration and tokenizer of a causal language model in a local directory.

    Raises TestbedError when it is none, or one whose texts cannot be cut back.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        config = _read_config(path, name)
        text = config.get_text_config(decoder=True)
        _check_sizes(text, path, name)
        require_keys_of_tokens(config, name)
        require_plain(path, name)
        self._tokenizer = Tokenizer(path, name)
        self.context_length = _context_length(text, path, name)
        self.end_tokens = _end_tokens(path, text, self._tokenizer)

    @property
    def vocabulary(self) -> Vocabulary:
        """What token ids stand for."""
        return self._tokenizer.vocabulary

    def encode(self, text: str) -> list[int]:
        """Token ids, with the start token where the model wants one."""
        return self._tokenizer.encode(text)

    def encode_chat(self, prompt: str) -> list[int]:
        """See Tokenizer.encode_chat."""
        return self._tokenizer.encode_chat(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, special tokens spelt out."""
        return self._tokenizer.decode(tokens)


@cache
def open_directory(path: str, name: str) -> ModelDirectory:
    """The same directory read once, however many points of a sweep use it."""
    return ModelDirectory(Path(path), name)


def _read_config(path: Path, name: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each family's reader fails in its own way
        if "auto_map" in _json(path / "config.json"):
            raise TestbedError(
                f"Model '{name}' in {path} comes with code of its own, which is never run; "
                "allowed are models that transformers itself knows."
            ) from error
        raise TestbedError(
            f"Cannot read the configuration of model '{name}' in {path} ({first_line(error)}); "
            "allowed are directories of models that transformers knows."
        ) from error
    named = config.architectures
    declared = list(map(str, named)) if isinstance(named, list) else []
    if MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type) not in declared:
        raise TestbedError(
            f"Model '{name}' in {path} ({', '.join(declared) or config.model_type}) has no trained "
            "causal head; allowed are causal language models."
        )
    return config


def _check_sizes(config: Any, path: Path, name: str) -> None:
    """Raise TestbedError for a network that nobody can build; transformers would try."""
    for key, most in _SIZES.items():
        size = getattr(config, key, None)
        sizes = [] if size is None else size if isinstance(size, list) else [size]  # of each layer
        if not all(isinstance(each, int) and 1 <= each <= most for each in sizes):
            raise TestbedError(
                f"{path}: model '{name}' has {key} {reprlib.repr(size)} in its configuration; "
                f"allowed is 1 to {most}"
            )


def _context_length(config: Any, path: Path, name: str) -> int:
    """Longest text in tokens. Raises TestbedError when the configuration does not give it.

    LongRoPE (Phi-3) turns all keys in another way once a text is longer than it was at first
    trained for, so that cached keys are wrong from there on.
    """
    length = getattr(config, "max_position_embeddings", None)
    if length is None:
        length = getattr(config, "max_seq_len", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        length = rope.get("original_max_position_embeddings", 0)
    if length is None:
        return _UNLIMITED
    if not isinstance(length, int) or length < _LEAST:
        raise TestbedError(
            f"{path}: model '{name}' has texts of up to {length!r} tokens by its configuration; "
            f"allowed is a number from {_LEAST} on"
        )
    return length


def _end_tokens(path: Path, config: Any, tokenizer: Tokenizer) -> frozenset[int]:
    """Ids after which a text is complete: the first of the places that say so.

    Raises TestbedError when it names something else than tokens.
    """
    for ends in (
        _json(path / "generation_config.json").get("eos_token_id"),
        config.eos_token_id,
        tokenizer.end_token,
    ):
        if ends is not None:
            found = ends if isinstance(ends, list) else [ends]
            if not all(isinstance(end, int) and 0 <= end < MOST_TOKENS for end in found):
                raise TestbedError(
                    f"{path}: eos_token_id is {reprlib.repr(ends)}; it must be a token or several"
                )
            return frozenset(found)
    return frozenset()


def _json(path: Path) -> dict[str, Any]:
    """A JSON file; nothing where it is missing or damaged."""
    try:
        return read(path, dict[str, Any])
    except TestbedError:
        return {}
