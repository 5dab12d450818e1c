"""Table of text cells, which the terminal and the report each render in their own way."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from rich.box import SIMPLE
from rich.console import ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from typing_extensions import override

from testbed.output.console import Console
from testbed.output.visible import in_one_line

_LONGEST = 7
"""Letters of a word in a header where there is little room."""


class Column(NamedTuple):
    """The header of a column; renderers put the unit below or behind it."""

    header: str
    unit: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.header} {self.unit}".rstrip()


class Table:
    """A table whose first column names the rows.

    Headers are plain words; renderers break them into lines.
    """

    def __init__(self, *columns: str | Column, first: str | Column = "method") -> None:
        self.columns = [
            Column(column) if isinstance(column, str) else column for column in (first, *columns)
        ]
        self.rows: list[tuple[str, ...]] = []
        self.notes: list[str] = []
        """Lines printed below the rows."""

    def add_row(self, *cells: str) -> None:
        """Add a row of formatted cells, one per column."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    @property
    def verdicts(self) -> int | None:
        """Index of the column of verdicts; None if there is none.

        Renderers colour this column only, because a label may be "invalid", too.
        """
        names = [column.header for column in self.columns]
        return names.index("verdict") if "verdict" in names else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for a terminal; numbers are never truncated.

        If the terminal is too narrow, gaps close first, then words of headers break, then names do.
        """
        for gap, longest in ((1, sys.maxsize), (0, sys.maxsize), (0, _LONGEST)):
            shown = self._shown(gap, longest)
            needed = Measurement.get(console, options.update(width=sys.maxsize), shown).maximum
            if needed <= options.max_width:
                break
        yield shown

    def _shown(self, gap: int, longest: int) -> RichTable:
        notes = "\n".join(map(in_one_line, self.notes)) or None
        shown = RichTable(
            box=SIMPLE, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold",
            caption=notes, caption_justify="left", caption_style="",
        )  # fmt: skip
        heads = [self._head(column, longest) for column in range(len(self.columns))]
        height = max(map(len, heads))
        for column, lines in enumerate(heads):
            head = "\n".join([""] * (height - len(lines)) + lines)
            if column:
                shown.add_column(head, justify="right", no_wrap=True)
            else:
                shown.add_column(head, no_wrap=gap > 0, overflow="fold")
        for row in self.rows:
            shown.add_row(*map(in_one_line, row))
        return shown

    def _head(self, column: int, longest: int) -> list[str]:
        """Return the lines of a column's header, wrapped to its cells, words and parts of the unit.

        Words longer than `longest` letters, and than any cell, are hyphenated.
        """
        header, unit = map(in_one_line, self.columns[column])
        parts = re.findall("[^/]+|/[^/]*", unit)
        width = max(map(len, [*parts, *(row[column] for row in self.rows)]), default=0)
        width = max([1, width, *(min(len(word), longest) for word in header.split())])
        words = [piece for word in header.split() for piece in _broken(word, width)]
        lines = textwrap.wrap(" ".join(words), width)
        return [*lines, *([unit] if len(unit) <= width else parts)] if unit else lines


def _broken(word: str, width: int) -> Iterator[str]:
    while len(word) > width:
        yield f"{word[: width - 1]}-"
        word = word[width - 1 :]
    yield word
