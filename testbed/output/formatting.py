"""Values of a scenario, and texts that nobody vouches for, as a page may show them."""

from __future__ import annotations

import re
from typing import Any

import yaml
from markupsafe import Markup

from testbed.output.visible import visible


def printable(value: Any) -> Any:
    """Any value on its way into the page, made visible; markup of our own stays as it is."""
    if isinstance(value, Markup):
        return value
    return visible(str(value))


def as_yaml(value: Any) -> str:
    """A value as a scenario would write it, in one line."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def shorten(text: str, longest: int = 60) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def breakable(text: str) -> Markup:
    """Text that may be broken behind its dots and underscores."""
    return Markup("<wbr>").join(re.findall(r"[^._]*[._]+|[^._]+", printable(text)))
