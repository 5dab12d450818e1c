"""Standard output and error that end no program, whatever becomes of their other end.

A reader that goes (`| head -1`), a full disk, a terminal that was closed or characters that it does
not have are no reason to lose a run of hours.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from testbed.host.machine_errors import sentence


class _Unfailing(io.TextIOWrapper):
    """A stream that takes everything; what cannot be written is dropped from then on."""

    lost: OSError | None = None
    """The first error of writing."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        with suppress(OSError):
            _open_null(self.fileno())  # what is in the buffers goes there, too


def protect_streams() -> None:
    """Make standard output and error unfailing, and open those that are closed as /dev/null.

    Files opened later would take the numbers of closed ones, and be written to by whoever prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # else whoever replaced it knows what for
            setattr(sys, name, _protected(number, stream))


def lost_output() -> str:
    """Say why standard output could not be written; empty if it was, or its reader had gone."""
    if not isinstance(sys.stdout, _Unfailing):
        return ""
    sys.stdout.flush()
    lost = sys.stdout.lost
    return "" if lost is None or lost.errno == errno.EPIPE else f"standard output: {sentence(lost)}"


def _open_null(descriptor: int) -> None:
    """Make a descriptor one of /dev/null, also for processes started later."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)


def _protected(descriptor: int, stream: TextIO | None) -> TextIO:
    """A stream as the given one, on a descriptor that takes everything."""
    return _Unfailing(
        open(descriptor, "wb", closefd=False),
        encoding=stream.encoding if stream else "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        # PYTHONUNBUFFERED asks for no less.
        line_buffering=descriptor == 2
        or (stream is not None and (stream.isatty() or getattr(stream, "write_through", False))),
    )
