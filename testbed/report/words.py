"""Values of a scenario, and texts that nobody vouches for, as a page may show them."""

from __future__ import annotations

import re
from typing import Any

import yaml
from markupsafe import Markup

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What HTML forbids or nobody sees: control characters, halves of pairs, no characters at all."""


def seen(value: Any) -> Any:
    """Any value on its way into the page, made visible; markup of our own stays as it is."""
    if isinstance(value, Markup):
        return value
    return _UNSEEN.sub(_picture, str(value))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def words(value: Any) -> str:
    """A value as a scenario would write it, in one line."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def short(text: str, longest: int = 60) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def breakable(text: str) -> Markup:
    """Text that may be broken behind its dots and underscores."""
    return Markup("<wbr>").join(re.findall(r"[^._]*[._]+|[^._]+", seen(text)))
