"""Reading files that people name: a scenario, and what it names beside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from testbed.bounds import LARGEST_FILE
from testbed.errors import TestbedError

_PART = 1 << 20  # bytes read at a time, since what is not a file may never end


def is_file(path: Path) -> bool:
    """Return True for a file; False, too, for a name out of other files that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113  Path's own raises for one that is too long


def read_bytes(path: Path, where: str, *, piped: bool = False, most: int = LARGEST_FILE) -> bytes:
    """The content of a regular file of at most so many bytes; with `piped`, of a pipe, too.

    Raises TestbedError, starting with `where`, for another or one that cannot be read.
    """
    return b"".join(read_parts(path, where, piped=piped, most=most))


def read_parts(
    path: Path, where: str, *, piped: bool = False, most: int = LARGEST_FILE
) -> Iterator[bytes]:
    """Read a file as `read_bytes` does, a part at a time."""
    try:
        # Not to wait for whoever should write into a pipe.
        with open(path, "rb", opener=None if piped else _open_at_once) as file:
            status = os.fstat(file.fileno())
            if not piped and not stat.S_ISREG(status.st_mode):
                raise TestbedError(f"{where}: cannot be read: it is not a regular file")
            size = status.st_size if status.st_size > most else 0
            while size <= most and (part := file.read(_PART)):
                yield part
                size += len(part)
    except OSError as error:
        raise TestbedError(f"{where}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise TestbedError(f"{where}: cannot be read: its name holds a NUL character") from None
    if size > most:
        raise TestbedError(f"{where}: cannot be read: it is larger than {most:,} bytes")


def read_text(path: Path, where: str, *, piped: bool = False, most: int = LARGEST_FILE) -> str:
    """Read a UTF-8 text as `read_bytes` does; its line ends stay as they are."""
    try:
        return read_bytes(path, where, piped=piped, most=most).decode()
    except UnicodeDecodeError:
        raise TestbedError(f"{where}: cannot be read: it is not UTF-8 text") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
