"""Prompts from a JSONL file: one JSON object a line, whatever its fields are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed.files.input_file import read_bytes
from testbed.files.stored_json import decode
from testbed.prompts.source import PromptRecord, Source


class File(Source, frozen=True, kw_only=True):
    """`file` is relative to the scenario's folder."""

    file: str
    field: str = "prompt"

    @property
    def column(self) -> str:
        """See Source."""
        return self.field

    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        """See Source. Empty lines are skipped."""
        path = (folder / self.file).absolute()
        # Not as text: its lines end where JSON strings may go on.
        for number, line in enumerate(read_bytes(path, str(path)).split(b"\n"), 1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, decode(line, Any, place)
