"""Replacement of invisible characters in untrusted text by visible symbols.

Prompts, labels, file names and generations may contain characters that control the renderer: escape
sequences of a terminal, null characters, which SVG forbids, marks that reverse the order of
letters. Each renderer has one helper that shows such text literally, and all of them use this
module: `testbed.output.terminal` for terminals, `plots.style` for figures,
`testbed.output.formatting` for pages.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Control characters, halves of surrogate pairs, noncharacters, and marks that change the direction
of all text after them. Marks for a single position are kept, because Hebrew and Arabic use them."""


def visible(text: str) -> str:
    """Return the text with symbols in place of such characters; tabs and line ends are kept."""
    return _UNSEEN.sub(_symbol, text)


def in_one_line(text: str) -> str:
    """Return the text as `visible` does, with line ends as symbols and tabs as spaces."""
    return visible(text).replace("\n", "\N{SYMBOL FOR NEWLINE}").replace("\t", " ")


def _symbol(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
