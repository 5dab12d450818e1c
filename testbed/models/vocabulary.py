"""Vocabularies of models, and the check that draft and target share one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from testbed.errors import TestbedError


@dataclass(frozen=True)
class Vocabulary:
    """Map from a model's token ids to tokens, taken from its tokenizer.

    The number of logits is not the number of ids, because models of one family are padded
    differently (OPT: 50272 logits for 50265 ids; Qwen 2.5: 151936 and 152064 for 151665).
    """

    tokens: Mapping[int, str]
    """Token of each id, as the tokenizer spells it."""

    @cached_property
    def size(self) -> int:
        """V, the highest id plus one."""
        return max(self.tokens, default=-1) + 1

    @cached_property
    def fingerprint(self) -> str:
        """V and a SHA-256 digest of all tokens; equal only for equal vocabularies."""
        text = json.dumps(sorted(self.tokens.items()))
        return f"{self.size}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def require_same_vocabulary(
    target: Vocabulary, draft: Vocabulary, target_name: str, draft_name: str
) -> None:
    """Raise TestbedError, with the first difference, unless both vocabularies are equal."""
    pair = f"draft '{draft_name}' and target '{target_name}' must share one vocabulary"
    for token in sorted(target.tokens.keys() | draft.tokens.keys()):
        left, right = draft.tokens.get(token), target.tokens.get(token)
        if left != right:
            raise TestbedError(
                f"{pair}, but id {token} is {_spelling(left)} to the one and {_spelling(right)} to "
                "the other"
            )


def _spelling(token: str | None) -> str:
    return "nothing" if token is None else repr(token)
