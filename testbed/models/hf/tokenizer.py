"""Tokenizer of a model directory: text to token ids and back. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from testbed.errors import TestbedError, first_line
from testbed.models.chat_templates import ChatTemplate
from testbed.models.vocabulary import Vocabulary


class Tokenizer:
    """The tokenizer in a model directory; a slow one is converted if transformers is able to.

    Raises TestbedError when no tokenizer can be read without running code.
    """

    def __init__(self, model: Path, name: str) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                model, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # each family's reader fails in its own way
            if (model / "tokenizer.model").is_file():
                raise TestbedError(
                    f"model '{name}' in {model} has its tokenizer only in tokenizer.model; to "
                    "read it, run: pip install sentencepiece protobuf"
                ) from error
            raise TestbedError(
                f"model '{name}' in {model} has no tokenizer that can be read ({first_line(error)})"
                "; needed is tokenizer.json, or vocab.json and merges.txt"
            ) from error
        self._chat = ChatTemplate(name, self._render if self._tokenizer.chat_template else None)
        self.vocabulary = Vocabulary(
            {index: token for token, index in self._tokenizer.get_vocab().items()}
        )

    @property
    def end_token(self) -> int | None:
        """End-of-sequence id; None if there is none."""
        end = self._tokenizer.eos_token_id
        return None if end is None else int(end)

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids, with the start token if the model uses one."""
        return list(self._tokenizer.encode(text, verbose=False))

    def encode_chat(self, prompt: str) -> list[int]:
        """Convert a user's turn with `prompt` to token ids, up to where the answer begins.

        Raises TestbedError when the model has no chat template, or it fails.
        """
        turn = self._chat.turn(prompt)
        # The template itself writes the start token.
        return list(self._tokenizer.encode(turn, add_special_tokens=False, verbose=False))

    def _render(self, prompt: str) -> str:
        turn = [{"role": "user", "content": prompt}]
        return str(
            self._tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        )

    def decode(self, tokens: Sequence[int]) -> str:
        """Convert token ids to text, with special tokens spelt out."""
        return str(self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))
