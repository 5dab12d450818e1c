"""Reading of JSON files that may have been truncated, changed or replaced since they were written.

All results are read here, so that damage becomes one sentence that names file and line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from testbed.errors import TestbedError
from testbed.files.input_file import read_bytes

T = TypeVar("T")


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors that a decoder raises."""


@cache
def decoder(kind: Any) -> Any:
    """Return the decoder of a kind of values."""
    return msgspec.json.Decoder(kind)


def decode(content: bytes, kind: type[T], where: str) -> T:
    """Decode JSON as a `kind`. Raises TestbedError, starting with `where`, if it is not one."""
    try:
        decoded: T = decoder(kind).decode(content)  # type: ignore[arg-type]  # mypy: no Hashable
        return decoded
    except UNREADABLE as error:
        raise unreadable(where, error) from None


def unreadable(where: str, error: Exception) -> TestbedError:
    """Return the error, starting with `where`, of what a decoder refused."""
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
    return TestbedError(f"{where}: cannot be read: {reason}")


def read(path: Path, kind: type[T]) -> T:
    """Decode a whole file as a `kind`. Raises TestbedError if it cannot be read or is not one."""
    return decode(read_bytes(path, str(path), most=sys.maxsize), kind, str(path))


def read_lines(path: Path, kind: type[T], *, growing: bool = False) -> Iterator[T]:
    """Decode each line of a file as a `kind`; skip an unfinished last line if it is `growing`.

    Raises TestbedError when the file cannot be read, a line is not a `kind`, or the last line of a
    file that is not growing is unfinished.
    """
    *lines, rest = read_bytes(path, str(path), most=sys.maxsize).split(b"\n")
    if rest and not growing:
        raise TestbedError(
            f"{path}: line {len(lines) + 1} is cut off; restore the file, or remove it"
        )
    for number, line in enumerate(lines, 1):
        yield decode(line, kind, f"{path}: line {number}")
