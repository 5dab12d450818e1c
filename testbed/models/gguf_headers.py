"""Headers of GGUF files: what is in them, and whether all of it is there.

Only the header is read, and nothing is believed that goes beyond the end of the file. gguf's own
reader makes an array of each string (2 s for 49,152 tokens), and does not check the file's length.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import reprlib
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from testbed.bounds import MOST_TOKENS
from testbed.errors import TestbedError
from testbed.files.input_file import is_file
from testbed.host.machine_errors import sentence

_MAGIC = b"GGUF"
_VERSIONS = 2, 3
_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
"""Formats of the types of single values."""
_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_UNUSED = 5
"""Type of ids that pad a vocabulary to the size of the embedding."""
_NO_TOKENIZER = "none", "no_vocab"
"""Names of the tokenizer in files that are to have none."""
_BY_PIECES = "llama"
"""Name of SentencePiece's tokenizer, which spells what is not in its pieces byte by byte."""
_UNREADABLE = "\ufffd"
"""The character that replaces bytes which are not UTF-8."""
_BYTES_OF_TEXT = [byte for byte in range(256) if byte not in (0xC0, 0xC1) and byte < 0xF5]
"""The bytes that UTF-8 uses."""
_DEEPEST = 4
"""Dimensions of a tensor."""


@dataclass(frozen=True)
class GgufFile:
    """A whole model in one GGUF file."""

    path: Path
    name: str
    """Name of the model in the scenario; used in messages to the user."""
    context_length: int
    """Length in tokens of the longest sequence."""
    tokens: dict[int, str]
    """Token of each id that is in use, as the file spells it."""
    chat_template: str
    """Jinja template of a chat; empty if there is none."""
    numbers: int
    """Count of numbers in all tensors."""
    size: int
    """Bytes of all tensors, as stored."""


@cache
def read_gguf(path: Path, name: str) -> GgufFile:
    """Read the header of the GGUF file of model `name`.

    Raises TestbedError unless it is one whole causal model with its tokenizer: not an adapter, not
    a part of a split model, not cut.
    """
    if not is_file(path):
        raise TestbedError(f"there is no GGUF file {path}; name one that exists")
    where = f"model '{name}' in {path}"
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
            return _Header(content, where).read(path, name)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        reason = sentence(error) if isinstance(error, OSError) else "it is empty"
        raise TestbedError(f"{where} cannot be read: {reason}") from None


class _Header:
    """The header of a file, read from its beginning on."""

    def __init__(self, content: mmap.mmap, where: str) -> None:
        self._content = content
        self._where = where
        self._at = 0

    def read(self, path: Path, name: str) -> GgufFile:
        if self._content[:4] != _MAGIC:
            raise self._wrong("it is not a GGUF file")
        self._at = 4
        version = self._scalar("<I")
        if version not in _VERSIONS:
            raise self._wrong(f"it has version {version} of the format; allowed are 2 and 3")
        tensors, keys = self._scalar("<Q"), self._scalar("<Q")
        found = dict(self._pair() for _ in range(keys))
        kind = found.get("general.type", "model")
        if kind != "model":
            raise self._wrong(
                f"it holds {kind!r}, not a model; give the file of the model that it belongs to"
            )
        if (parts := found.get("split.count", 0)) not in (0, 1):
            raise self._wrong(
                f"it is one of {parts} parts of a model; join them: "
                "llama-gguf-split --merge FIRST_PART WHOLE_FILE"
            )
        alignment = found.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise self._wrong(f"its general.alignment is {alignment!r}; allowed is 1 on")
        numbers, size = self._tensors(tensors, alignment)
        architecture = found.get("general.architecture", "")
        length = found.get(f"{architecture}.context_length")
        if not isinstance(length, int) or length < 1:
            raise self._wrong(f"its {architecture}.context_length is {length!r}; allowed is 1 on")
        return GgufFile(
            path=path,
            name=name,
            context_length=length,
            tokens=self._vocabulary(found),
            chat_template=str(found.get("tokenizer.chat_template", "")),
            numbers=numbers,
            size=size,
        )

    def _vocabulary(self, found: dict[str, Any]) -> dict[int, str]:
        tokens, types = found.get(_TOKENS), found.get(_TYPES, [])
        kind = found.get("tokenizer.ggml.model")
        if (
            not isinstance(tokens, list)
            or len(tokens) < 2
            or not isinstance(tokens[0], str)
            or not isinstance(types, list)
            or kind in _NO_TOKENIZER
        ):
            raise self._wrong("it has no tokenizer; allowed are files of whole language models")
        self._check_tokens(tokens, by_pieces=kind == _BY_PIECES)
        return {
            index: token
            for index, token in enumerate(tokens)
            if not (index < len(types) and types[index] == _UNUSED)
        }

    def _check_tokens(self, tokens: list[str], *, by_pieces: bool) -> None:
        """Raise TestbedError for tokens with which llama.cpp ends the process."""
        known = set[str]()
        for written in tokens:
            token = written.partition("\0")[0]  # llama.cpp reads no further
            if token in known and token and _UNREADABLE not in token:
                raise self._wrong(f"it has the token {reprlib.repr(token)} twice; convert it again")
            known.add(token)
        for byte in _BYTES_OF_TEXT if by_pieces else ():
            if f"<0x{byte:02X}>" not in known and not (byte < 128 and chr(byte) in known):
                raise self._wrong(
                    f"its tokenizer has no token for byte {byte}; allowed are tokenizers that can "
                    "spell every text"
                )

    def _tensors(self, count: int, alignment: int) -> tuple[int, int]:
        """Return the numbers and the bytes of all tensors, which must be in the file."""
        from gguf.constants import GGML_QUANT_SIZES  # noqa: PLC0415  takes 0.1 s

        numbers = size = end = 0
        for _ in range(count):
            tensor = self._string()
            dimensions = self._scalar("<I")
            if dimensions > _DEEPEST:
                raise self._wrong(f"its tensor {reprlib.repr(tensor)} has {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self._scalar("<Q")
            kind, offset = self._scalar("<I"), self._scalar("<Q")
            if kind not in GGML_QUANT_SIZES:
                raise self._wrong(f"its tensor {reprlib.repr(tensor)} has the unknown type {kind}")
            block, stored = GGML_QUANT_SIZES[kind]
            numbers += elements
            size += elements // block * stored
            end = max(end, offset + elements // block * stored)
        begin = -(-self._at // alignment) * alignment
        if begin + end > len(self._content):
            raise self._wrong(
                f"it has {len(self._content):,} of its {begin + end:,} bytes; fetch it again"
            )
        return numbers, size

    def _pair(self) -> tuple[str, Any]:
        key = self._string()
        return key, self._value(self._scalar("<I"), wanted=key in (_TOKENS, _TYPES))

    def _value(self, kind: int, *, wanted: bool) -> Any:
        """Return a value; of arrays only those that are `wanted`, else their length."""
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._scalar("<I"), self._scalar("<Q")
            if wanted and count > MOST_TOKENS:
                raise self._wrong(f"it has {count:,} tokens; allowed are {MOST_TOKENS:,}")
            if inner in _SCALARS:
                one = _SCALARS[inner]
                part = self._take(count * struct.calcsize(one))
                return [each for (each,) in struct.iter_unpack(one, part)] if wanted else count
            if inner != _STRING:
                raise self._wrong(f"it has an array of type {inner}")
            if wanted:
                return [self._string() for _ in range(count)]
            for _ in range(count):
                self._skip_string()
            return count
        if kind not in _SCALARS:
            raise self._wrong(f"it has a value of the unknown type {kind}")
        return self._scalar(_SCALARS[kind])

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return value

    def _string(self) -> str:
        return self._take(self._scalar("<Q")).decode("utf-8", "replace")

    def _skip_string(self) -> None:
        size = self._scalar("<Q")
        self._at += size

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._content):
            raise self._wrong(
                f"its {len(self._content):,} bytes end inside the header; fetch it again"
            )
        part = self._content[self._at : end]
        self._at = end
        return part

    def _wrong(self, reason: str) -> TestbedError:
        return TestbedError(f"{self._where} cannot be used: {reason}")
