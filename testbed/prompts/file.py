"""Prompts from a JSONL file: one JSON object per line; any of its fields may hold the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from testbed.files.input_file import read_bytes
from testbed.files.stored_json import decode
from testbed.prompts.source import PromptRecord, Source


class File(Source, frozen=True, kw_only=True):
    """A file whose path is relative to the scenario's folder; empty lines are skipped."""

    file: str
    """The path of a JSONL file, e.g. ./prompts.jsonl."""
    field: str = "prompt"
    """The field of a line that holds the prompt, e.g. question; turns.0 is the first of `turns`."""

    @property
    @override
    def column(self) -> str:
        return self.field

    @override
    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        path = (folder / self.file).absolute()
        # Read as bytes: text would also split at line ends that are legal inside JSON strings.
        for number, line in enumerate(read_bytes(path, str(path)).split(b"\n"), 1):
            if line.strip():
                location = f"{path}, line {number}"
                yield location, decode(line, Any, location)
