"""Tokenizers of transformers in GGUF files: byte-level BPE whose splitting llama.cpp knows.

Importing this loads torch.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

from testbed.errors import TestbedError
from testbed.models.hf.directory import ModelDirectory
from testbed.models.llamacpp.text import GgufText
from testbed.models.vocabulary import require_same_vocabulary

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "gpt-2": ([_BYTES], False),
    "smollm": ([_DIGITS, _BYTES], False),
    "llama-bpe": (
        [
            {
                "type": "Split",
                "pattern": {"Regex": _LLAMA_3},
                "behavior": "Isolated",
                "invert": False,
            },
            {**_BYTES, "use_regex": False},
        ],
        True,
    ),
}
"""llama.cpp's names of the ways to split a text, and whether whole tokens need no merges."""
_NORMAL_MODEL = {
    "type": "BPE", "dropout": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
    "byte_fallback": False,
}  # fmt: skip
_WORDS = (
    "The", "quick", "It's", "we'LL", "don't", "naïve", "Straße", "ça", "été", "Москва", "Ωμέγα",
    "日本語", "中文字符", "한국어", "עברית", "العربية", "हिन्दी", "ไทย", "🙂", "👩‍👩‍👧", "e\u0301",
    "1", "12", "345", "6789", "3.14159", "1e-9", "²", "½", "٣", "x_1", "CamelCase", "ALLCAPS",
    "http://a.b/c?d=e&f", "foo@bar.org", "--option", "def f(x):", "return", "{}", "[]", "()",
    "<tag>", "</s>", "&amp;", "#include", "$x$", "%", "…", "—", "\u00a0", "\u200b", "\ufeff",
    " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\n \n", "!", "?!", "...", "''", '"', "`", "\\",
    "\ufffd", "\U0010ffff", *map(chr, range(32)), *map(chr, range(127, 161)),
)  # fmt: skip
_TEXTS = 300
_MOST_WORDS = 12
_CHATS = 10
"""One text of so many is also compared as a turn of a chat."""


class GgufTokenizer:
    """The tokenizer of a model directory.

    Raises TestbedError when it cannot be carried exactly.
    """

    def __init__(self, path: Path, directory: ModelDirectory, rows: int) -> None:
        """`rows` is the number of the network's embeddings."""
        self._name = directory.name
        self._directory = directory
        self._rows = rows
        self._tokenizer: Any = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        if not getattr(self._tokenizer, "is_fast", False):
            raise self._wrong("is not one of the library tokenizers")
        self._parts: dict[str, Any] = json.loads(self._tokenizer.backend_tokenizer.to_str())
        self._check_model()
        self._splitting = self._find_splitting()
        self._starts = self._find_start()
        if directory.vocabulary.size > rows:
            raise self._wrong(
                f"has the id {directory.vocabulary.size - 1}, for which the network's {rows} rows "
                "have none"
            )
        template = self._tokenizer.chat_template
        if not isinstance(template, str | None):
            raise self._wrong("has several chat templates")
        self._template = template

    def add_to(self, writer: GGUFWriter) -> None:
        """Add the tokenizer to the values of a file; ids without a token are marked as unused."""
        tokens = self._directory.vocabulary.tokens
        kinds = {
            each["id"]: TokenType.CONTROL if each["special"] else TokenType.USER_DEFINED
            for each in self._parts["added_tokens"]
        }
        ids = range(self._rows)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self._splitting)
        writer.add_token_list([tokens.get(index, f"[PAD{index}]") for index in ids])
        writer.add_token_types(
            [
                kinds.get(index, TokenType.NORMAL) if index in tokens else TokenType.UNUSED
                for index in ids
            ]
        )
        merges = self._parts["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
        writer.add_add_space_prefix(False)
        writer.add_add_bos_token(self._starts)
        writer.add_add_eos_token(False)
        self._add_special(writer)
        if self._template:
            writer.add_chat_template(self._template)

    def check(self, file: Path) -> list[str]:
        """Compare the tokenizer in `file`, by llama.cpp, with that of the directory.

        Returns what differs but does no harm, one sentence each. Raises TestbedError when tokens,
        their ids, encoded texts, chats or end tokens differ.
        """
        carried, own = GgufText(file, self._name), self._directory
        require_same_vocabulary(own.vocabulary, carried.vocabulary, self._name, str(file.name))
        specials = [each["content"] for each in self._parts["added_tokens"]]
        lacking = self._lacking()
        words = [word for word in (*_WORDS, *specials) if not lacking.intersection(word)]
        texts = _texts(words)
        for text in texts:
            if (found := carried.encode(text)) != (expected := own.encode(text)):
                raise self._wrong(
                    f"makes {expected} of {text!r}, and llama.cpp makes {found} of it"
                )
            if (spelt := carried.decode(expected)) != (right := own.decode(expected)):
                raise self._wrong(f"spells {expected} {right!r}, and llama.cpp {spelt!r}")
        for text in texts[::_CHATS] if self._template else ():
            if carried.encode_chat(text) != own.encode_chat(text):
                raise self._wrong(f"has a chat template that is filled otherwise ({text!r})")
        if missing := own.end_tokens - carried.end_tokens:
            raise self._wrong(f"has the end token {min(missing)}, which llama.cpp does not end at")
        notes = []
        if more := sorted(carried.end_tokens - own.end_tokens):
            spelt = ", ".join(own.vocabulary.tokens[each] for each in more)
            notes.append(f"llama.cpp also ends a generation at {spelt}")
        if lacking:
            notes.append(
                f"{len(lacking)} control characters have no token; both tokenizers drop them, but "
                "llama.cpp joins nothing across them"
            )
        return notes

    def _lacking(self) -> set[str]:
        """Return the characters of one byte that have no token."""
        vocabulary = self._parts["model"]["vocab"]
        split = ByteLevel(add_prefix_space=False, use_regex=False)
        return {
            chr(code)
            for code in range(128)
            if split.pre_tokenize_str(chr(code))[0][0] not in vocabulary
        }

    def _check_model(self) -> None:
        model = self._parts["model"]
        for key, value in _NORMAL_MODEL.items():
            if (model.get(key) or None) != (value or None):
                raise self._wrong(f"has the {key} {model.get(key)!r}")
        if self._parts["normalizer"] is not None:
            raise self._wrong(f"has the normalizer {self._parts['normalizer']['type']}")
        for each in self._parts["added_tokens"]:
            for key in ("lstrip", "rstrip", "single_word"):
                if each[key]:
                    raise self._wrong(f"has the token {each['content']!r} with {key}")

    def _find_splitting(self) -> str:
        split = self._parts["pre_tokenizer"] or {}
        steps = [
            {key: value for key, value in step.items() if key != "trim_offsets"}
            for step in split.get("pretokenizers", [split])
        ]
        known = (steps, self._parts["model"].get("ignore_merges", False))
        for name, expected in _SPLITS.items():
            if known == expected:
                return name
        raise self._wrong("splits texts in a way that is not one of " + ", ".join(_SPLITS))

    def _find_start(self) -> bool:
        """Return True if every text begins with the start token."""
        bare = self._tokenizer.encode("a", add_special_tokens=False)
        whole = self._tokenizer.encode("a")
        start = self._tokenizer.bos_token_id
        if whole not in (bare, [start, *bare]):
            raise self._wrong(
                f"makes {whole} of 'a', which is more than a start token and the text"
            )
        return bool(whole != bare)

    def _add_special(self, writer: GGUFWriter) -> None:
        ends = sorted(self._directory.end_tokens)
        own = self._tokenizer.eos_token_id
        if own in ends:  # it goes first: templates may ask for it
            ends = [own, *(end for end in ends if end != own)]
        adders = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
        for add, end in zip(adders, ends, strict=False):
            add(end)
        for add, index in (
            (writer.add_bos_token_id, self._tokenizer.bos_token_id),
            (writer.add_unk_token_id, self._tokenizer.unk_token_id),
            (writer.add_pad_token_id, self._tokenizer.pad_token_id),
        ):
            if index is not None:
                add(index)

    def _wrong(self, what: str) -> TestbedError:
        return TestbedError(
            f"model '{self._name}' has a tokenizer that a GGUF file cannot carry exactly: it {what}"
        )


def _texts(words: list[str]) -> list[str]:
    """Return varied texts of these words, the same ones in each call."""
    draw = random.Random(0)
    alone = [*words, *(f" {word}" for word in words)]
    mixed = [
        "".join(
            draw.choice(("", "", " ", " ")) + draw.choice(words)
            for _ in range(draw.randint(2, _MOST_WORDS))
        )
        for _ in range(_TEXTS)
    ]
    return alone + mixed
