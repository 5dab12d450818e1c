"""A table as rows of cells, which the terminal and the report show each in its own way."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table as RichTable


class Table:
    """Headers may have several lines; the first column is of what the rows are about."""

    def __init__(self, *headers: str, first: str = "\nmethod") -> None:
        self.headers = (first, *headers)
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """A row, its cells as they are shown."""
        assert len(cells) == len(self.headers)
        self.rows.append(cells)

    def __rich__(self) -> RichTable:
        """As the terminal shows it."""
        shown = RichTable(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for place, header in enumerate(self.headers):
            shown.add_column(header, justify="right" if place else "left", no_wrap=True)
        for row in self.rows:
            shown.add_row(*row)
        return shown
