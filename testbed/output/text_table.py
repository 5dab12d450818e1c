"""A table as rows of cells, which the terminal and the report show each in its own way."""

from __future__ import annotations

import sys

from rich.box import SIMPLE
from rich.console import ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable

from testbed.output.console import Console
from testbed.output.visible import in_one_line


class Table:
    """Headers may have several lines; the first column is of what the rows are about."""

    def __init__(self, *headers: str, first: str = "\nmethod") -> None:
        self.headers = (first, *headers)
        self.rows: list[tuple[str, ...]] = []
        self.notes: list[str] = []
        """Lines below the rows."""

    def add_row(self, *cells: str) -> None:
        """A row, its cells as they are shown."""
        assert len(cells) == len(self.headers)
        self.rows.append(cells)

    @property
    def verdicts(self) -> int | None:
        """The column of verdicts; None without one. A label may be "invalid", too."""
        names = [header.strip() for header in self.headers]
        return names.index("verdict") if "verdict" in names else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As the terminal shows it; columns move closer, then long names fold: no figure is cut."""
        wide = self._shown(gap=1)
        needed = Measurement.get(console, options.update(width=sys.maxsize), wide).maximum
        yield wide if needed <= options.max_width else self._shown(gap=0)

    def _shown(self, gap: int) -> RichTable:
        notes = "\n".join(map(in_one_line, self.notes)) or None
        shown = RichTable(
            box=SIMPLE, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold",
            caption=notes, caption_justify="left", caption_style="",
        )  # fmt: skip
        for place, header in enumerate(self.headers):
            if place:
                shown.add_column(header, justify="right", no_wrap=True)
            else:
                shown.add_column(header, no_wrap=gap > 0, overflow="fold")
        for row in self.rows:
            shown.add_row(*map(in_one_line, row))
        return shown
