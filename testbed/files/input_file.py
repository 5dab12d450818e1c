"""Reading of files that users name: a scenario, and the files named in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from testbed.bounds import LARGEST_FILE
from testbed.errors import TestbedError

_PART = 1 << 20  # bytes read at a time, because a pipe may never end


def is_file(path: Path) -> bool:
    """Return True for a file; False also for a path that no file can have, from another file."""
    return os.path.isfile(path)  # noqa: PTH113  Path's own raises for one that is too long


def read_bytes(path: Path, where: str, *, piped: bool = False, most: int = LARGEST_FILE) -> bytes:
    """Return the content of a regular file of at most `most` bytes; with `piped`, also of a pipe.

    Raises TestbedError, starting with `where`, when it is neither, is larger or cannot be read.
    """
    return b"".join(read_parts(path, where, piped=piped, most=most))


def read_parts(
    path: Path, where: str, *, piped: bool = False, most: int = LARGEST_FILE
) -> Iterator[bytes]:
    """Yield a file's content in parts. Raises TestbedError as `read_bytes` does."""
    try:
        # Do not wait for a writer if the file is a pipe.
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
    """Return the content as UTF-8 text, with its line ends as they are.

    Raises TestbedError as `read_bytes` does, and when the content is not UTF-8.
    """
    try:
        return read_bytes(path, where, piped=piped, most=most).decode()
    except UnicodeDecodeError:
        raise TestbedError(f"{where}: cannot be read: it is not UTF-8 text") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # not on every system
