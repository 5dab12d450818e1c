"""Rich's console without markup in strings.

By default Rich interprets `[bold]` and `:smile:` in every string, also in cells of tables, and lets
escape sequences through. Coloured output is passed as `rich.text.Text` instead.
"""

from __future__ import annotations

from typing import Any

from rich import console
from rich.text import Text
from typing_extensions import override

from testbed.output.visible import visible


class Console(console.Console):
    """Console that shows every string literally, with control characters made visible."""

    def __init__(self, **options: Any) -> None:
        """Take all other options of Rich's console."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)
