"""Plain lines for a terminal, with control characters made visible.

`testbed.output.console` prints tables and live displays.
"""

from __future__ import annotations

import sys

from testbed.output.visible import in_one_line, visible


def say(*lines: str) -> None:
    """Print each text as one line and flush."""
    for line in lines:
        print(in_one_line(line), flush=True)


def write(text: str) -> None:
    """Print a text that may have several lines, without a line end of its own, and flush."""
    print(visible(text), end="", flush=True)


def complain(*lines: str) -> None:
    """Print each text as one line of standard error and flush."""
    for line in lines:
        print(in_one_line(line), file=sys.stderr, flush=True)
