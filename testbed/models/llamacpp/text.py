"""Tokenizer, chat template and limits of a GGUF file, read before its weights are loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.models.chat_templates import ChatTemplate
from testbed.models.gguf_headers import read_gguf
from testbed.models.llamacpp.declarations import Ids
from testbed.models.llamacpp.library import library, refusal
from testbed.models.vocabulary import Vocabulary


class GgufText:
    """The text side of a GGUF file, by llama.cpp's own tokenizer.

    Raises TestbedError when the file holds no usable causal model, or one whose cache cannot be
    rolled back.
    """

    def __init__(self, path: Path, name: str) -> None:
        file = read_gguf(path, name)
        self.name = name
        self.context_length = file.context_length
        self.vocabulary = Vocabulary(file.tokens)
        self._lib = library()
        params = self._lib.llama_model_default_params()
        params.vocab_only = True
        self._model = self._lib.llama_model_load_from_file(bytes(path), params)
        if not self._model:
            raise refusal(name, path)
        self._check_kind()
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self.end_tokens = frozenset(
            token for token in file.tokens if self._lib.llama_vocab_is_eog(self._vocab, token)
        )
        self._template = file.chat_template
        # True if the tokenizer puts a space before each text, which decoding takes away.
        self._spaced = b"".join(map(self._piece, self._encode("a", special=False)[:1]))[:1] == b" "
        self._chat = ChatTemplate(name, self._render if self._template else None)

    def _check_kind(self) -> None:
        lib = self._lib
        kinds = {
            "recurrent layers, whose state cannot be rolled back": lib.llama_model_is_recurrent,
            "some recurrent layers, whose state cannot be rolled back": lib.llama_model_is_hybrid,
            "an encoder": lib.llama_model_has_encoder,
            "a diffusion head": lib.llama_model_is_diffusion,
        }
        for what, has in kinds.items():
            if has(self._model):
                raise TestbedError(
                    f"model '{self.name}' has {what}; allowed are models that attend to the keys "
                    "of single tokens"
                )

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids, with the start token if the model uses one."""
        return self._encode(text, special=True)

    def encode_chat(self, prompt: str) -> list[int]:
        """Convert a user's turn to token ids, up to where the answer begins.

        Raises TestbedError when the model has no chat template, or it fails.
        """
        if self._template:
            # Before the child is forked, whose time and memory are limited.
            import transformers.utils.chat_template_utils  # noqa: F401, PLC0415  slow

        turn = self._chat.turn(prompt)
        return self._encode(turn, special=False)  # the template itself writes the start token

    def decode(self, tokens: Sequence[int]) -> str:
        """Convert token ids to text, with special tokens spelt out."""
        # Not by llama_detokenize, which tidies spaces before punctuation for some tokenizers.
        pieces = [
            self._piece(token, index == 0 and self._spaced) for index, token in enumerate(tokens)
        ]
        return b"".join(pieces).decode("utf-8", "replace")

    def _piece(self, token: int, strip: bool = False) -> bytes:
        """Return the bytes of a token; with `strip`, without a space that it begins with."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = self._lib.llama_token_to_piece(self._vocab, token, buffer, size, strip, True)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _encode(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        ids = (ctypes.c_int32 * size)()
        found = self._lib.llama_tokenize(
            self._vocab, data, len(data), ctypes.cast(ids, Ids), size, special, True
        )
        if found < 0:
            raise TestbedError(f"model '{self.name}' makes more tokens of a text than it has bytes")
        return list(ids[:found])

    def _render(self, prompt: str) -> str:
        from transformers.utils import chat_template_utils  # noqa: PLC0415

        render: Any = chat_template_utils.render_jinja_template  # declared as a str

        vocabulary = self.vocabulary.tokens
        ends = {
            "bos_token": vocabulary.get(self._lib.llama_vocab_bos(self._vocab), ""),
            "eos_token": vocabulary.get(self._lib.llama_vocab_eos(self._vocab), ""),
        }
        (turn,), _ = render(
            [[{"role": "user", "content": prompt}]],
            chat_template=self._template,
            add_generation_prompt=True,
            **ends,
        )
        return str(turn)


@cache
def open_gguf(path: str, name: str) -> GgufText:
    """Return the text side of a file, read once for all points of a sweep that use it."""
    return GgufText(Path(path), name)
