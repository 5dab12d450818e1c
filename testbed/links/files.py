"""Files that a scenario names: where they are, and their lines."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.files.input_file import read_text

FILE_KEYS = ("mahimahi", "file", "trace")
"""The keys of a link, at any depth, whose values are files."""

_BYTE_ORDER_MARK = "\ufeff"
_COMMENT = "#"


def place_files(value: Any, place: Callable[[str], str]) -> Any:
    """A copy of what a scenario says of links, with the path of each file replaced by `place`."""
    if isinstance(value, list):
        return [place_files(each, place) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: place(each) if key in FILE_KEYS and isinstance(each, str) else place_files(each, place)
        for key, each in value.items()
    }


def read_lines(path: Path, where: str) -> Iterator[tuple[int, str]]:
    """Each line that holds something, without the blanks around it, and its number from 1.

    A byte order mark, lines that begin with #, and empty lines at the end are passed over. Raises
    TestbedError for a file that cannot be read or is not text, and for an empty line before others.
    """
    text = read_text(path, where).removeprefix(_BYTE_ORDER_MARK)
    for number, line in enumerate(text.rstrip().splitlines(), 1):
        content = line.strip()
        if not content:
            raise TestbedError(f"{place_of(where, number)}: the line is empty")
        if not content.startswith(_COMMENT):
            yield number, content


def place_of(where: str, number: int) -> str:
    """The start of an error on a line of a file, of whose errors `where` is the start."""
    return f"{where}, line {number}"
