"""Text sides of models, as the launcher needs them: prompts as token ids, limits, end tokens.

Reading it takes transformers, and so seconds; so it is cached, by what the files of both models
are, the prompts, and the libraries that read them.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Sequence
from importlib import metadata

import msgspec

from testbed.errors import TestbedError
from testbed.models.base import TextFrontend
from testbed.models.llamacpp.library import VERSION
from testbed.models.load import load_synthetic, open_text
from testbed.models.spec import FileSpec, ModelSpec, SyntheticSpec
from testbed.models.trials import once
from testbed.models.vocabulary import require_same_vocabulary
from testbed.models.weights import digest

_LIBRARIES = "transformers", "tokenizers", "jinja2"


class PromptError(TestbedError):
    """A prompt that cannot be encoded; the message begins with which."""


class Limits(msgspec.Struct, frozen=True):
    """Name and longest sequence of a model, for `require_context`."""

    name: str
    context_length: int


class Texts(msgspec.Struct, frozen=True):
    """The text sides of a pair of models, and the prompts."""

    vocabulary_size: int
    target: Limits
    draft: Limits
    end_tokens: list[int]
    """Token ids at which the target ends."""
    prompts: list[list[int]]
    """Token ids of each prompt, by the target's tokenizer."""


def read_texts(target: ModelSpec, draft: ModelSpec, prompts: Sequence[str], *, chat: bool) -> Texts:
    """Return what is needed of both models; `chat` applies the target's chat template.

    Raises TestbedError when a text side cannot be read or the vocabularies differ, PromptError when
    a prompt cannot be encoded.
    """
    if not isinstance(target, FileSpec) or not isinstance(draft, FileSpec):
        return _read(target, draft, prompts, chat=chat)  # a server's answer is no file's
    versions = [VERSION, *map(metadata.version, _LIBRARIES)]
    parts = [target.name, digest(target), draft.name, digest(draft), prompts, chat, versions]
    key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    return once("texts", key, Texts, lambda: _read(target, draft, prompts, chat=chat))


def _read(target: ModelSpec, draft: ModelSpec, prompts: Sequence[str], *, chat: bool) -> Texts:
    reader: TextFrontend
    other: TextFrontend
    if isinstance(target, SyntheticSpec) or isinstance(draft, SyntheticSpec):
        assert isinstance(target, SyntheticSpec), "a synthetic pair is one of both"
        reader = other = load_synthetic(target, "target")
        size = target.vocabulary_size
    else:
        mine, theirs = open_text(target), open_text(draft)
        require_same_vocabulary(mine.vocabulary, theirs.vocabulary, target.name, draft.name)
        reader, other, size = mine, theirs, mine.vocabulary.size
    encode = reader.encode_chat if chat else reader.encode
    return Texts(
        vocabulary_size=size,
        target=Limits(reader.name, reader.context_length),
        draft=Limits(other.name, other.context_length),
        end_tokens=sorted(reader.end_tokens),
        prompts=[_encoded(encode, *each) for each in enumerate(prompts, 1)],
    )


def _encoded(encode: Callable[[str], list[int]], number: int, prompt: str) -> list[int]:
    try:
        tokens = encode(prompt)
        if not tokens:
            raise TestbedError("it has no tokens")
    except TestbedError as error:
        raise PromptError(f"{which(number, prompt)}: {error}") from None
    return tokens


def which(number: int, prompt: str) -> str:
    """Return the name of a prompt in messages; the first is number 1."""
    return f"prompt {number} ({reprlib.repr(prompt)})"
