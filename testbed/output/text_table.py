"""Table of text cells, which the terminal and the report each render in their own way."""

from __future__ import annotations

import sys

from rich.box import SIMPLE
from rich.console import ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable

from testbed.output.console import Console
from testbed.output.visible import in_one_line


class Table:
    """A table whose first column names the rows; headers may have several lines."""

    def __init__(self, *headers: str, first: str = "\nmethod") -> None:
        self.headers = (first, *headers)
        self.rows: list[tuple[str, ...]] = []
        self.notes: list[str] = []
        """Lines printed below the rows."""

    def add_row(self, *cells: str) -> None:
        """Add a row of formatted cells, one per header."""
        assert len(cells) == len(self.headers)
        self.rows.append(cells)

    @property
    def verdicts(self) -> int | None:
        """Index of the column of verdicts; None if there is none.

        Renderers colour this column only, because a label may be "invalid", too.
        """
        names = [header.strip() for header in self.headers]
        return names.index("verdict") if "verdict" in names else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for a terminal; if it is too narrow, close the gaps and fold long names.

        Numbers are never truncated.
        """
        wide = self._shown(gap=1)
        needed = Measurement.get(console, options.update(width=sys.maxsize), wide).maximum
        yield wide if needed <= options.max_width else self._shown(gap=0)

    def _shown(self, gap: int) -> RichTable:
        notes = "\n".join(map(in_one_line, self.notes)) or None
        shown = RichTable(
            box=SIMPLE, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold",
            caption=notes, caption_justify="left", caption_style="",
        )  # fmt: skip
        for column, header in enumerate(self.headers):
            if column:
                shown.add_column(header, justify="right", no_wrap=True)
            else:
                shown.add_column(header, no_wrap=gap > 0, overflow="fold")
        for row in self.rows:
            shown.add_row(*map(in_one_line, row))
        return shown
