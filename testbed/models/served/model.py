"""A target behind a server: each pass is a request, whose prompts the server's cache knows."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from testbed.errors import TestbedError
from testbed.models.base import FileText, Logits, ModelSession
from testbed.models.checks import check_extension, check_rollback
from testbed.models.file_model import FileModel
from testbed.models.served.completions import Server
from testbed.models.vocabulary import Vocabulary

_PROBE = "The naïve fox has 1,234.5 dogs; それは本当ですか？ {'a': [0]}"
"""Text of which tokenizers that differ make different tokens."""


class ServedModel(FileModel):
    """The model of a server, with tokenizer and limits from files of the same model.

    Raises TestbedError when no server is at `address`, its tokenizer differs from `text`, or it
    does not give rows over the whole vocabulary.
    """

    def __init__(self, address: str, text: FileText, name: str) -> None:
        super().__init__(name, text)
        self._server = Server(address)
        probe = text.encode(_PROBE)
        if self._server.encode(_PROBE) != probe:
            raise TestbedError(
                f"{address}/tokenize: model '{self._server.model}' has another tokenizer than "
                f"'{name}'; give as models.target.model the files of the model that is served"
            )
        self.rows([probe])

    def rows(self, prompts: Sequence[Sequence[int]]) -> Logits:
        """Return log-probabilities after each prompt, [prompts, V]."""
        return self._server.rows(prompts, self.vocabulary_size)

    @property
    def vocabulary(self) -> Vocabulary:
        """Map from token ids to tokens."""
        return self._text.vocabulary

    @property
    @override
    def context_length(self) -> int:
        return min(self._text.context_length, self._server.context_length)

    @override
    def session(self) -> ServedSession:
        return ServedSession(self)

    def encode_chat(self, prompt: str) -> list[int]:
        """Convert a user's turn to token ids, up to where the answer begins.

        Raises TestbedError when the model has no chat template, or it fails.
        """
        return self._text.encode_chat(prompt)


class ServedSession(ModelSession):
    """One token sequence, kept here; what the server's cache has of it is the server's business."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._tokens: list[int] = []

    @property
    @override
    def length(self) -> int:
        return len(self._tokens)

    @override
    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        rows = check_extension(self._model, self.length, tokens, keep)
        text = [*self._tokens, *tokens]
        first = len(text) - rows + 1
        logits = self._model.rows([text[:end] for end in range(first, len(text) + 1)])
        self._tokens = text
        return logits

    @override
    def rollback(self, length: int) -> None:
        check_rollback(self.length, length)
        del self._tokens[length:]
