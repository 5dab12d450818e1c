"""A model directory before its weights are loaded: what kind of model, what text, how long.

Importing this loads torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from testbed.errors import TestbedError
from testbed.models.rollback import require_keys_of_tokens
from testbed.models.tokenizer import Tokenizer, first_line
from testbed.models.vocabulary import Vocabulary

_UNLIMITED = 1 << 31  # tokens; of models that need no positions, such as BLOOM


class ModelDirectory:
    """Configuration and tokenizer of a causal language model in a local directory.

    Raises TestbedError when it is none, or one whose texts cannot be cut back.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        config = _read_config(path, name)
        require_keys_of_tokens(config, name)
        self._tokenizer = Tokenizer(path, name)
        self.context_length = _context_length(config.get_text_config(decoder=True))
        self.end_tokens = _end_tokens(path, config, self._tokenizer)

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
    declared = config.architectures or []
    if MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type) not in declared:
        raise TestbedError(
            f"Model '{name}' in {path} ({', '.join(declared) or config.model_type}) has no trained "
            "causal head; allowed are causal language models."
        )
    return config


def _context_length(config: Any) -> int:
    """Longest text in tokens.

    LongRoPE (Phi-3) turns all keys in another way once a text is longer than it was at first
    trained for, so that cached keys are wrong from there on.
    """
    length = getattr(config, "max_position_embeddings", None) or getattr(
        config, "max_seq_len", None
    )
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        return int(rope["original_max_position_embeddings"])
    return _UNLIMITED if length is None else int(length)


def _end_tokens(path: Path, config: Any, tokenizer: Tokenizer) -> frozenset[int]:
    """Ids after which a text is complete: the first of the places that say so."""
    for ends in (
        _json(path / "generation_config.json").get("eos_token_id"),
        config.get_text_config(decoder=True).eos_token_id,
        tokenizer.end_token,
    ):
        if ends is not None:
            return frozenset(ends if isinstance(ends, list) else [ends])
    return frozenset()


def _json(path: Path) -> dict[str, Any]:
    """A JSON file; nothing where it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
