"""Formatting of values and of untrusted text for HTML pages."""

from __future__ import annotations

import re
from typing import Any

import yaml
from markupsafe import Markup

from testbed.output.visible import visible


def printable(value: Any) -> Any:
    """Convert a value to text with control characters made visible; return Markup unchanged."""
    if isinstance(value, Markup):
        return value
    return visible(str(value))


def as_yaml(value: Any) -> str:
    """Format a value in one line, as a scenario would write it."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def shorten(text: str, longest: int = 60) -> str:
    """Return the beginning of a text in one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def breakable(text: str) -> Markup:
    """Return HTML that may be broken after each dot and underscore of the text."""
    return Markup("<wbr>").join(re.findall(r"[^._]*[._]+|[^._]+", printable(text)))
