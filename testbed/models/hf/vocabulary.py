"""Do two models mean the same text by the same token ids?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.errors import TestbedError


@dataclass(frozen=True)
class Vocabulary:
    """What a model's token ids stand for, as its tokenizer has it.

    Models of one family often differ in how many rows of padding their logits have beyond it (OPT:
    50272 logits for 50265 ids; Qwen 2.5: 151936 and 152064 for 151665), so that not the logits but
    the tokenizer says how many ids there are.
    """

    tokens: Mapping[int, str]
    """The spelling of each id."""

    @property
    def size(self) -> int:
        """V: covers every id."""
        return max(self.tokens, default=-1) + 1

    @property
    def fingerprint(self) -> str:
        """Equal for equal vocabularies only (up to SHA-256); names the size."""
        text = json.dumps(sorted(self.tokens.items()))
        return f"{self.size}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def require_same_vocabulary(
    target: Vocabulary, draft: Vocabulary, target_name: str, draft_name: str
) -> None:
    """Raise TestbedError with the first difference unless ids mean the same to both models."""
    pair = f"Draft '{draft_name}' and target '{target_name}' must share one vocabulary"
    for token in sorted(target.tokens.keys() | draft.tokens.keys()):
        left, right = draft.tokens.get(token), target.tokens.get(token)
        if left != right:
            raise TestbedError(
                f"{pair}, but id {token} is {_spelling(left)} to the one and {_spelling(right)} to "
                "the other."
            )


def _spelling(token: str | None) -> str:
    return "nothing" if token is None else repr(token)
