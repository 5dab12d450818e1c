"""Files that the links of a scenario name: their paths and their lines."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.files.input_file import read_text

FILE_KEYS = ("mahimahi", "file", "trace")
"""The keys of a link, at any depth, whose values are paths of files."""

_BYTE_ORDER_MARK = "\ufeff"
_COMMENT = "#"


def place_files(value: Any, place: Callable[[str], str]) -> Any:
    """Return a copy of the links of a scenario in which `place` has replaced each path."""
    if isinstance(value, list):
        return [place_files(each, place) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: place(each) if key in FILE_KEYS and isinstance(each, str) else place_files(each, place)
        for key, each in value.items()
    }


def read_lines(path: Path, where: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, from 1, without blanks at its ends.

    A byte order mark, lines that begin with #, and empty lines at the end are skipped. Raises
    TestbedError, beginning with `where`, for a file that cannot be read or is not text, and for an
    empty line before others.
    """
    text = read_text(path, where).removeprefix(_BYTE_ORDER_MARK)
    for number, line in enumerate(text.rstrip().splitlines(), 1):
        content = line.strip()
        if not content:
            raise TestbedError(f"{at_line(where, number)}: the line is empty; remove it")
        if not content.startswith(_COMMENT):
            yield number, content


def at_line(where: str, number: int) -> str:
    """Return `where`, the start of errors about a file, extended by the number of a line."""
    return f"{where}, line {number}"
