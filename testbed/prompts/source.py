"""Base class of sources of prompts: rows, and the choice of some of them."""

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
"""Location of a row, for error messages, and its fields."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source as a scenario writes it; without `first` or `sample`, all its rows in order."""

    first: Rows | None = None
    """Number of rows to take from the beginning."""
    sample: Rows | None = None
    """Number of rows to draw by the scenario's seed; they keep the order of the source."""

    @property
    def column(self) -> str:
        """Field of a row that holds the prompt; `turns.0` is the first item of `turns`."""
        raise NotImplementedError

    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        """Yield every row, read one at a time. `folder` is the scenario's.

        Raises TestbedError when the source cannot be read.
        """
        raise NotImplementedError

    def texts(self, folder: Path, seed: int) -> list[str]:
        """Return the chosen prompts.

        Raises TestbedError when there are too few rows, or a row has no prompt.
        """
        if self.first and self.sample:
            raise TestbedError("give first or sample, not both")
        wanted, rows = self.first or self.sample, self.rows(folder)
        chosen = _sample(rows, self.sample, seed) if self.sample else list(islice(rows, self.first))
        if len(chosen) < (wanted or 1):
            raise TestbedError(
                f"{wanted or 'all'} prompts are wanted, but the source has {len(chosen)}"
            )
        return [_prompt(location, fields, self.column) for location, fields in chosen]


def _sample(rows: Iterator[PromptRecord], number: int, seed: int) -> list[PromptRecord]:
    """Draw `number` rows by the seed, in their order; a larger number only adds rows to them."""

    def drawn(numbered: tuple[int, PromptRecord]) -> bytes:
        return hashlib.blake2b(struct.pack("<qq", seed, numbered[0]), digest_size=16).digest()

    chosen = heapq.nsmallest(number, enumerate(rows), key=drawn)
    return [row for _, row in sorted(chosen, key=lambda numbered: numbered[0])]


def _prompt(location: str, fields: Any, column: str) -> str:
    """Return the prompt in a row. Raises TestbedError when it is missing, empty or not text."""
    value = fields
    for key in column.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            there = ", ".join(fields) if isinstance(fields, dict) else "none"
            raise TestbedError(f"{location}: there is no field '{column}'; there are {there}")
    if not isinstance(value, str):
        raise TestbedError(f"{location}: field '{column}' is not text, but {type(value).__name__}")
    if not value.strip():
        raise TestbedError(f"{location}: field '{column}' is empty")
    return value
