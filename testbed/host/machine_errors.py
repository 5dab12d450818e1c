"""Errors of the machine (space, memory, open files), each as one sentence with its remedy.

Code that ends a unit of work (a command, a point of a sweep, a node) catches REPORTABLE and
reports `sentence`. Code that writes a file wraps the writing in `naming`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.errors import TestbedError

REPORTABLE = (TestbedError, OSError, MemoryError)
"""Errors that are reported to the user as one sentence; any other is a bug in the testbed."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

TOO_LARGE = "the file is larger than this process may write; raise the limit, `ulimit -f`"
TOO_LONG = "the process computed for longer than it may; raise the limit, `ulimit -t`"
_STORAGE = {
    errno.ENOSPC: "no space is left on the device; free some",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EFBIG: TOO_LARGE,
    errno.EIO: "input/output error; check the device that it is on",
}
_MEMORY = (
    "there is not enough memory; end other programs, take smaller models or fewer devices, or "
    "raise the limit, `ulimit -v`"
)
_KINDS = {
    **_STORAGE,
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: "this process has too many files open; raise the limit, `ulimit -n`",
    errno.ENFILE: "this machine has too many files open; raise sysctl fs.file-max",
}


def sentence(error: BaseException) -> str:
    """Return the error as one sentence: file, fault, remedy."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, TestbedError | ValueError):
        return str(error)
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    what = _KINDS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    name = error.filename
    return f"{os.fsdecode(name)}: {what}" if isinstance(name, str | bytes) else what


def recognise(output: str) -> str:
    """Return the sentence for an error of libc in another program's output; "" if there is none."""
    for number, what in _KINDS.items():
        # The loader of programs and the guest kernel print the number instead of the words.
        if os.strerror(number) in output or re.search(rf"\b(Error |errno = -){number}\b", output):
            return what
    return ""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add this file to storage errors that name none.

    An OSError names the file if it cannot be opened, but not if writing to it fails.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _STORAGE:
            error.filename = os.fspath(path)
        raise
