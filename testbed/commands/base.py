"""What commands share."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from rich.table import Table

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command's parser is added, with its function of the arguments as `command`."""


def list_table(*columns: str) -> Table:
    """A table without lines."""
    table = Table(*columns, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table
