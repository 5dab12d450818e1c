"""Files that a scenario names: where they are, and their lines."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.input_file import read_text

FILE_KEYS = ("mahimahi", "file", "trace")
"""The keys of a link, at any depth, whose values are files."""


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


def read_lines(path: Path, where: str) -> Iterator[tuple[str, str]]:
    """Each line without its end, and its place for error messages.

    Raises TestbedError for a file that cannot be read, is no text, or has an empty line.
    """
    for number, line in enumerate(read_text(path, f"{where}: {path}").splitlines(), 1):
        place = f"{where}: {path}, line {number}"
        if not line.strip():
            raise TestbedError(f"{place}: the line is empty")
        yield place, line
