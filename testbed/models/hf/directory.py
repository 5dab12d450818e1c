"""Configuration and tokenizer of a model directory, read before its weights are loaded.

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
from testbed.models.vocabulary import Vocabulary

_SIZES = {
    "num_hidden_layers": MOST_LAYERS,
    "hidden_size": 1 << 20,
    "num_attention_heads": 1 << 16,
    "vocab_size": MOST_TOKENS,
}
"""Largest allowed values in a configuration, far beyond those of any model."""
_LEAST = 8
"""Shortest context in tokens: one more than the proof of rollback reads."""
_UNLIMITED = 1 << 31  # tokens; for models without positions, such as BLOOM


class ModelDirectory:
    """Configuration and tokenizer of a causal language model in a local directory.

    Raises TestbedError when the directory holds no causal language model, or one whose cache cannot
    be rolled back.
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
        """Map from token ids to tokens."""
        return self._tokenizer.vocabulary

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids, with the start token if the model uses one."""
        return self._tokenizer.encode(text)

    def encode_chat(self, prompt: str) -> list[int]:
        """Convert a user's turn to token ids, up to where the answer begins.

        Raises TestbedError when the model has no chat template, or it fails.
        """
        return self._tokenizer.encode_chat(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """Convert token ids to text, with special tokens spelt out."""
        return self._tokenizer.decode(tokens)


@cache
def open_directory(path: str, name: str) -> ModelDirectory:
    """Return the directory, read once for all points of a sweep that use it."""
    return ModelDirectory(Path(path), name)


def _read_config(path: Path, name: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each family's reader fails in its own way
        if "auto_map" in _json(path / "config.json"):
            raise TestbedError(
                f"model '{name}' in {path} comes with code of its own, which is never run; "
                "allowed are models that transformers itself knows"
            ) from error
        raise TestbedError(
            f"cannot read the configuration of model '{name}' in {path} ({first_line(error)}); "
            "allowed are directories of models that transformers knows"
        ) from error
    named = config.architectures
    declared = list(map(str, named)) if isinstance(named, list) else []
    if MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type) not in declared:
        raise TestbedError(
            f"model '{name}' in {path} ({', '.join(declared) or config.model_type}) has no trained "
            "causal head; allowed are causal language models"
        )
    return config


def _check_sizes(config: Any, path: Path, name: str) -> None:
    """Raise TestbedError for sizes that no machine can build; transformers would try to."""
    for key, most in _SIZES.items():
        size = getattr(config, key, None)
        sizes = [] if size is None else size if isinstance(size, list) else [size]  # of each layer
        if not all(isinstance(each, int) and 1 <= each <= most for each in sizes):
            raise TestbedError(
                f"{path}: model '{name}' has {key} {reprlib.repr(size)} in config.json; "
                f"allowed is 1 to {most}"
            )


def _context_length(config: Any, path: Path, name: str) -> int:
    """Return the length in tokens of the longest sequence.

    LongRoPE (Phi-3) rotates all keys differently once a sequence exceeds the original training
    length, which makes cached keys wrong; so that length is the limit. Raises TestbedError when the
    configuration gives a length that is not a number or too small.
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
            f"{path}: model '{name}' has a context of {length!r} tokens in config.json; "
            f"allowed is {_LEAST} or more"
        )
    return length


def _end_tokens(path: Path, config: Any, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids that end a generation.

    They are those of the generation configuration, else of the configuration, else of the
    tokenizer. Raises TestbedError when a configuration names something other than token ids.
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
                    f"{path}: eos_token_id is {reprlib.repr(ends)}; it must be a token id or a "
                    "list of them"
                )
            return frozenset(found)
    return frozenset()


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON file; return an empty dict if it is missing or damaged."""
    try:
        return read(path, dict[str, Any])
    except TestbedError:
        return {}
