"""Rich's console, to which a text is a text.

By itself Rich reads `[bold]` and `:smile:` as markup wherever it is given a string, in the cells of
tables, too, and lets escape sequences pass. What is to be in colour is given as `rich.text.Text`.
"""

from __future__ import annotations

from typing import Any

from rich import console
from rich.text import Text

from testbed.output.visible import visible


class Console(console.Console):
    """Shows every string as it is; what steers a terminal is made visible."""

    def __init__(self, **options: Any) -> None:
        """With other options as Rich has them."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As Rich's, of a visible text."""
        return super().render_str(visible(text), **options)
