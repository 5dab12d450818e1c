"""Lines for a terminal, whatever is in the texts that they show.

`testbed.output.console` shows tables and what is live.
"""

from __future__ import annotations

import sys

from testbed.output.visible import in_one_line, visible


def say(*lines: str) -> None:
    """Print each text as one line, at once."""
    for line in lines:
        print(in_one_line(line), flush=True)


def write(text: str) -> None:
    """Print a part of a text at once, which may have several lines."""
    print(visible(text), end="", flush=True)


def complain(*lines: str) -> None:
    """Print each text as one line of standard error."""
    for line in lines:
        print(in_one_line(line), file=sys.stderr, flush=True)
