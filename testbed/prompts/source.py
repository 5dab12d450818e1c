"""What a source of prompts is: rows, and which of them are wanted."""

from __future__ import annotations

import hashlib
import heapq
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from testbed.bounds import Rows
from testbed.errors import TestbedError

PromptRecord: TypeAlias = tuple[str, Any]
"""Its place, for error messages, and its fields."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As a scenario writes it. All rows are wanted, in their order, unless it says which."""

    first: Rows | None = None
    sample: Rows | None = None
    """So many, drawn by the scenario's seed; in the order of the source all the same."""

    @property
    def column(self) -> str:
        """The field of a row that holds the prompt; `turns.0` is the first item of `turns`."""
        raise NotImplementedError

    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        """Every row, read as it is asked for. `folder` is the scenario's.

        Raises TestbedError when it cannot be had.
        """
        raise NotImplementedError

    def texts(self, folder: Path, seed: int) -> list[str]:
        """The prompts that are wanted. Raises TestbedError when that cannot be done."""
        if self.first and self.sample:
            raise TestbedError("give first or sample, not both")
        wanted, rows = self.first or self.sample, self.rows(folder)
        chosen = _sample(rows, self.sample, seed) if self.sample else list(islice(rows, self.first))
        if len(chosen) < (wanted or 1):
            raise TestbedError(f"{wanted or 'all'} prompts asked for, but it has {len(chosen)}")
        return [_text(place, fields, self.column) for place, fields in chosen]


def _sample(rows: Iterator[PromptRecord], number: int, seed: int) -> list[PromptRecord]:
    """Rows whose numbers come first in an order drawn by the seed: more of them only add some."""

    def drawn(numbered: tuple[int, PromptRecord]) -> bytes:
        return hashlib.blake2b(struct.pack("<qq", seed, numbered[0]), digest_size=16).digest()

    chosen = heapq.nsmallest(number, enumerate(rows), key=drawn)
    return [row for _, row in sorted(chosen, key=lambda numbered: numbered[0])]


def _text(place: str, fields: Any, column: str) -> str:
    """The prompt in a row."""
    value = fields
    for key in column.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            there = ", ".join(fields) if isinstance(fields, dict) else "none"
            raise TestbedError(f"{place}: there is no field '{column}'; there are {there}")
    if not isinstance(value, str):
        raise TestbedError(f"{place}: field '{column}' is no text, but {type(value).__name__}")
    if not value.strip():
        raise TestbedError(f"{place}: field '{column}' is empty")
    return value
