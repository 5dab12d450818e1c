"""Parts shared by commands."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from rich.table import Table

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The collection to which a command adds its parser; the default `command` is its function."""


def list_table(*columns: str) -> Table:
    """Return an empty table without rules, with its first column unwrapped."""
    table = Table(*columns, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table
