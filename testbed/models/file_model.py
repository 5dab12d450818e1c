"""Base of models with files, whatever engine runs them: their text side, and how they warm up."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from testbed.models.base import FileText, Model


class FileModel(Model):
    """A model whose tokenizer, vocabulary and limits are those of its files."""

    def __init__(self, name: str, text: FileText) -> None:
        self.name = name
        self._text = text
        # Without the ids that pad the logits of some models.
        self._vocabulary_size = text.vocabulary.size
        self._vocabulary_id = text.vocabulary.fingerprint

    @property
    @override
    def vocabulary_size(self) -> int:
        return self._vocabulary_size

    @property
    @override
    def vocabulary_id(self) -> str:
        return self._vocabulary_id

    @property
    @override
    def context_length(self) -> int:
        return self._text.context_length

    @property
    @override
    def end_tokens(self) -> frozenset[int]:
        return self._text.end_tokens

    @override
    def encode(self, text: str) -> list[int]:
        return self._text.encode(text)

    @override
    def decode(self, tokens: Sequence[int]) -> str:
        return self._text.decode(tokens)

    @override
    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        session = self.session()
        session.extend(tokens, keep=1)
        session.extend([tokens[-1]] * block)
        session.extend([tokens[-1]])
