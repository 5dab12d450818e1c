"""Prompts from a JSONL file: one JSON object a line, whatever its fields are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.prompts.source import Row, Source


class File(Source, frozen=True, kw_only=True):
    """`file` is relative to the scenario's folder."""

    file: str
    field: str = "prompt"

    @property
    def column(self) -> str:
        """See Source."""
        return self.field

    def rows(self, folder: Path) -> Iterator[Row]:
        """See Source. Empty lines are skipped."""
        path = (folder / self.file).resolve()
        try:
            # Not as text: its lines end where JSON strings may go on.
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise TestbedError(f"{path}: cannot be read: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                place = f"{path}, line {number}"
                try:
                    yield place, msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise TestbedError(f"{place}: it is no JSON: {error}") from None
