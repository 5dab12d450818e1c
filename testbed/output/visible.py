"""Texts of any origin, with their invisible characters made visible.

Prompts, labels, names of files and what models wrote may hold characters that control the renderer
that shows them: a terminal's escape sequences, null characters, which no SVG may hold, marks that
reverse the order of letters. Each renderer has one helper that shows such a text as it is, and they
begin here: `testbed.output.terminal` for terminals, `plots.style` for figures,
`testbed.output.formatting` for pages.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Control characters, halves of surrogate pairs, noncharacters, and what changes the direction of
all text behind it. Marks of direction for a single place stay, as Hebrew and Arabic use them."""


def visible(text: str) -> str:
    """The text with pictures in place of such characters; tabs and line ends stay."""
    return _UNSEEN.sub(_picture, text)


def in_one_line(text: str) -> str:
    """The text as `visible`, its line ends and tabs as pictures, too."""
    return visible(text).replace("\n", "\N{SYMBOL FOR NEWLINE}").replace("\t", " ")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
